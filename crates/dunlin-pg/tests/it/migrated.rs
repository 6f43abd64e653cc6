//! Migrations at run time: the types of parameters are looked up again.

use dunlin_pg::{Access, Query, QueryService, Rows};
use dunlin_testkit::PgBouncer;

use crate::support::{Fixture, ask, config, eventually, get, named, post, postgres, text};

fn pair(fixture: &Fixture, read: &str, write: &str) -> (QueryService, QueryService) {
    let of = |sql: &str, access, param| {
        fixture.service(Query { params: named(&[param]), rows: Rows::One, access, ..Query::new([sql]) })
    };
    (of(read, Access::Read, "q"), of(write, Access::Write, "body.q"))
}

async fn migrations(fixture: &Fixture, prefix: &str) {
    postgres().psql(&format!(
        "CREATE TABLE {prefix}_n (id int); CREATE TYPE {prefix}_e AS ENUM ('a', 'b'); CREATE TYPE {prefix}_c AS (x int);
         CREATE TABLE {prefix}_t (e {prefix}_e, c {prefix}_c)"
    ));
    let (read, write) = pair(
        fixture,
        &format!("SELECT count(*) AS n FROM {prefix}_n WHERE id = $1"),
        &format!("INSERT INTO {prefix}_n VALUES ($1) RETURNING id AS n"),
    );
    assert_eq!(ask(&read, get("/?q=5", &[])).await.status(), 200);
    assert_eq!(ask(&write, post(r#"{"q":5}"#)).await.status(), 200);
    assert_eq!(ask(&read, get("/?q=5000000000", &[])).await.status(), 400);
    postgres().psql(&format!("ALTER TABLE {prefix}_n ALTER COLUMN id TYPE bigint"));
    eventually("reads take the wider type", async || ask(&read, get("/?q=5000000000", &[])).await.status() == 200)
        .await;
    eventually("writes take the wider type", async || ask(&write, post(r#"{"q":5000000000}"#)).await.status() == 200)
        .await;

    let (read, write) = pair(
        fixture,
        &format!("SELECT count(*) AS n FROM {prefix}_t WHERE e = $1"),
        &format!("INSERT INTO {prefix}_t (e) VALUES ($1) RETURNING e"),
    );
    assert_eq!(ask(&write, post(r#"{"q":"a"}"#)).await.status(), 200);
    let refused = ask(&read, get("/?q=c", &[])).await;
    assert!(refused.status() == 400 && text(&refused).contains(r#""parameter":"q""#), "{}", text(&refused));
    postgres().psql(&format!("ALTER TYPE {prefix}_e ADD VALUE 'c'; ALTER TYPE {prefix}_e RENAME VALUE 'b' TO 'd'"));
    for value in ["c", "d"] {
        assert_eq!(ask(&read, get(&format!("/?q={value}"), &[])).await.status(), 200, "{value}");
        assert_eq!(text(&ask(&write, post(&format!(r#"{{"q":"{value}"}}"#))).await), format!(r#"{{"e":"{value}"}}"#));
    }
    assert_eq!(ask(&read, get("/?q=b", &[])).await.status(), 400);

    let (_, write) =
        pair(fixture, "SELECT 1 AS n WHERE $1 = ''", &format!("INSERT INTO {prefix}_t (c) VALUES ($1) RETURNING c"));
    assert_eq!(ask(&write, post(r#"{"q":{"x":1}}"#)).await.status(), 200);
    assert_eq!(ask(&write, post(r#"{"q":{"x":1,"y":"z"}}"#)).await.status(), 400);
    postgres().psql(&format!("ALTER TYPE {prefix}_c ADD ATTRIBUTE y text"));
    eventually("the new attribute is taken", async || {
        text(&ask(&write, post(r#"{"q":{"x":1,"y":"z"}}"#)).await) == r#"{"c":{"x":1,"y":"z"}}"#
    })
    .await;
}

#[tokio::test]
async fn types_that_a_migration_changed_are_looked_up_again() {
    migrations(&Fixture::new(config("m_plain")), "m_plain").await;
}

#[tokio::test]
async fn behind_a_pooler_too() {
    let bouncer = PgBouncer::start(postgres());
    let pooled = dunlin_pg::Config { url: bouncer.url(), pooler: dunlin_pg::Pooler::Transaction, ..config("m_pooled") };
    migrations(&Fixture::new(pooled), "m_pooled").await;
}

#[tokio::test]
async fn no_statement_remains_in_a_pooler() {
    postgres().psql(
        "CREATE TYPE m_mood AS ENUM ('fine'); CREATE TABLE m_moods (m m_mood); INSERT INTO m_moods VALUES ('fine')",
    );
    let bouncer = PgBouncer::start(postgres());
    let config = dunlin_pg::Config { url: bouncer.url(), pooler: dunlin_pg::Pooler::Transaction, ..config("m_left") };
    for round in 0..6 {
        // For the pooler, this is another process.
        let fixture = Fixture::new(config.clone());
        let query = fixture.declare(Query::new(["SELECT m FROM m_moods"]));
        for description in fixture.database.describe(&[query.clone(), query.clone()]).await.unwrap() {
            description.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        let service = QueryService::new(fixture.pool.clone(), query);
        for _ in 0..4 {
            assert_eq!(text(&ask(&service, get("/", &[])).await), r#"[{"m":"fine"}]"#, "round {round}");
        }
        let left = fixture.service(Query::new(["SELECT name, statement FROM pg_prepared_statements"]));
        eventually("nothing is left", async || text(&ask(&left, get("/", &[])).await) == "[]").await;
    }
}
