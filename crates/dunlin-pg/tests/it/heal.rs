//! Recovery without a restart.

use std::time::Duration;

use dunlin_pg::{Access, Config, Query, Rows};
use dunlin_testkit::Postgres;

use crate::support::{Fixture, ask, config, connections, eventually, get, named, post, postgres, text};

#[tokio::test]
async fn a_migration_that_changes_a_type_does_not_show() {
    postgres().psql("CREATE TABLE h_plan (id int PRIMARY KEY, n int); INSERT INTO h_plan VALUES (1, 1)");
    let fixture = Fixture::new(config("h_plan"));
    let one = fixture.service(Query {
        params: named(&["id"]),
        rows: Rows::One,
        ..Query::new(["SELECT * FROM h_plan WHERE id = $1"])
    });
    assert_eq!(text(&ask(&one, get("/?id=1", &[])).await), r#"{"id":1,"n":1}"#);
    postgres().psql("ALTER TABLE h_plan ADD COLUMN more text DEFAULT 'x', ALTER COLUMN n TYPE text");
    assert_eq!(text(&ask(&one, get("/?id=1", &[])).await), r#"{"id":1,"n":"1","more":"x"}"#);
    postgres().psql("ALTER TABLE h_plan ALTER COLUMN id TYPE bigint");
    assert_eq!(text(&ask(&one, get("/?id=1", &[])).await), r#"{"id":1,"n":"1","more":"x"}"#);
}

/// On each path to the database, all connections have the old plan.
#[tokio::test]
async fn a_migration_does_not_show_on_any_number_of_connections() {
    postgres().psql("CREATE TABLE h_plans (id int PRIMARY KEY, n int); INSERT INTO h_plans VALUES (1, 1)");
    let fixture = Fixture::new(Config { pool_size: 8, ..config("h_plans") });
    let slow = "SELECT h.*, pg_sleep(0.2) FROM h_plans AS h WHERE id = $1";
    let of =
        |rows, access, sql: &str| fixture.service(Query { params: named(&["id"]), rows, access, ..Query::new([sql]) });
    let services = [
        of(Rows::One, Access::Read, "SELECT * FROM h_plans WHERE id = $1"),
        of(Rows::One, Access::Write, slow),
        of(Rows::One, Access::Write, "UPDATE h_plans SET n = n WHERE id = $1 RETURNING *, pg_sleep(0.02)"),
        of(Rows::Many, Access::Read, "SELECT *, repeat('x', 70000) AS large FROM h_plans WHERE id = $1"),
    ];
    for ty in ["bigint", "text", "int USING n::int"] {
        for service in &services {
            let crowd = (0..6).map(|_| ask(service, get("/?id=1", &[])));
            for answer in futures_util::future::join_all(crowd).await {
                assert_eq!(answer.status(), 200, "{}", text(&answer));
            }
        }
        postgres().psql(&format!("ALTER TABLE h_plans ALTER COLUMN n TYPE {ty}"));
        for service in &services {
            let expect = if ty == "text" { "\"n\":\"1\"" } else { "\"n\":1" };
            for _ in 0..6 {
                let answer = ask(service, get("/?id=1", &[])).await;
                assert!(answer.status() == 200 && text(&answer).contains(expect), "{ty}: {}", text(&answer));
            }
        }
    }
}

/// The server does not report such a change. Only the bytes of the composite show it.
#[tokio::test]
async fn a_composite_that_changed_is_described_again() {
    postgres().psql("CREATE TYPE h_pair AS (a int, b int); CREATE TABLE h_made (id int, pair h_pair); INSERT INTO h_made VALUES (1, '(1,2)')");
    let fixture = Fixture::new(config("h_made"));
    let query = Query { rows: Rows::One, ..Query::new(["SELECT pair FROM h_made"]) };
    let own = fixture.service(Query { access: Access::Write, ..query.clone() });
    let one = fixture.service(query);
    for (change, expect) in [
        ("ADD ATTRIBUTE c text", r#"{"pair":{"a":1,"b":2,"c":null}}"#),
        ("DROP ATTRIBUTE b", r#"{"pair":{"a":1,"c":null}}"#),
        ("ADD ATTRIBUTE d bool", r#"{"pair":{"a":1,"c":null,"d":null}}"#),
        ("DROP ATTRIBUTE d, ADD ATTRIBUTE e date", r#"{"pair":{"a":1,"c":null,"e":null}}"#),
    ] {
        assert_eq!(ask(&one, get("/", &[])).await.status(), 200);
        assert_eq!(ask(&own, post("")).await.status(), 200);
        postgres().psql(&format!("ALTER TYPE h_pair {change}"));
        assert_eq!(text(&ask(&one, get("/", &[])).await), expect);
        // A write is not run again, because it may have succeeded. The next one is right.
        ask(&own, post("")).await;
        assert_eq!(text(&ask(&own, post("")).await), expect);
    }
}

#[tokio::test]
async fn terminated_connections_are_replaced_without_leaks() {
    let fixture = Fixture::new(config("h_terminate"));
    let one = fixture.service(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
    for _ in 0..20 {
        assert_eq!(text(&ask(&one, get("/", &[])).await), r#"{"one":1}"#);
        postgres()
            .psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'h_terminate'");
    }
    eventually("both shared connections are back", async || fixture.database.stats().shared == 2).await;
    assert!(connections(postgres(), "h_terminate") <= 4);
    drop((fixture, one));
    eventually("no connection is left", async || connections(postgres(), "h_terminate") == 0).await;
}

#[tokio::test]
async fn no_answer_is_lost_at_the_end_of_a_lifetime() {
    let lifetime = Duration::from_millis(200);
    let fixture = Fixture::new(Config { max_lifetime: lifetime, ..config("h_lifetime") });
    let query = Query { rows: Rows::One, ..Query::new(["SELECT pg_backend_pid() AS pid"]) };
    for query in [query.clone(), Query { access: Access::Write, ..query }] {
        let pid = fixture.service(query);
        let mut pids = std::collections::BTreeSet::new();
        eventually("several have served", async || {
            let answer = ask(&pid, get("/", &[])).await;
            assert_eq!(answer.status(), 200, "{}", text(&answer));
            pids.insert(text(&answer).to_owned());
            pids.len() > 4
        })
        .await;
    }
    assert!(connections(postgres(), "h_lifetime") <= 4);
}

#[tokio::test]
async fn idle_connections_are_checked_before_use() {
    let fixture = Fixture::new(Config { validate_after: Duration::from_millis(1), ..config("h_idle") });
    let write = fixture.service(Query { access: Access::Write, ..Query::new(["SELECT 1 AS one"]) });
    assert_eq!(ask(&write, post("")).await.status(), 200);
    postgres().psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'h_idle'");
    // A write is never sent twice, so the broken connection has to be found before it is used.
    assert_eq!(ask(&write, post("")).await.status(), 200);
}

#[tokio::test]
async fn reads_go_to_the_replica_and_writes_do_not() {
    let replica = Postgres::start();
    for (server, name) in [(postgres(), "primary"), (&replica, "replica")] {
        server.psql(&format!("CREATE TABLE h_where (name text); INSERT INTO h_where VALUES ('{name}')"));
    }
    let fixture = Fixture::new(Config { read_url: Some(replica.url()), ..config("h_replica") });
    let query = Query { rows: Rows::One, ..Query::new(["SELECT name FROM h_where"]) };
    let read = fixture.service(query.clone());
    let write = fixture.service(Query { access: Access::Write, ..query });
    assert_eq!(text(&ask(&read, get("/", &[])).await), r#"{"name":"replica"}"#);
    assert_eq!(text(&ask(&write, post("")).await), r#"{"name":"primary"}"#);
}
