//! The figures of queries and errors.

use std::time::Duration;

use dunlin_pg::tokio_postgres::error::SqlState;
use dunlin_pg::{Access, Config, Pool, Query, QueryService, Rows, TransactionOptions};

use crate::support::{Fixture, ask, config, eventually, get, named, post, postgres, text};

#[tokio::test]
async fn errors_are_counted_by_class() {
    postgres().psql("CREATE TABLE st_unique (id int UNIQUE)");
    let fixture = Fixture::new(config("st_errors"));
    let cast = fixture.service(Query { params: named(&["q"]), ..Query::new(["SELECT ($1::text)::int AS v"]) });
    let write = fixture.service(Query {
        params: named(&["q"]),
        access: Access::Write,
        ..Query::new(["INSERT INTO st_unique VALUES ($1)"])
    });
    for (service, value, status) in [(&cast, "x", 400), (&cast, "1", 200), (&write, "1", 204), (&write, "1", 409)] {
        assert_eq!(ask(service, get(&format!("/?q={value}"), &[])).await.status(), status);
    }
    // It is refused before anything is sent.
    assert_eq!(ask(&write, get("/?q=x", &[])).await.status(), 400);
    let mut transaction = fixture.pool.begin(TransactionOptions::default()).await.unwrap();
    assert!(transaction.query("SELECT nosuch", &[]).await.is_err());
    drop(transaction);
    let stats = fixture.database.stats();
    let counted: Vec<_> = stats.errors.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("22", 1), ("23", 1), ("42", 1)]);
    assert!(stats.metrics().iter().any(|metric| {
        metric.name == "dunlin_database_errors_total" && metric.value == 1.0 && metric.labels[0].1 == "23"
    }));
}

#[tokio::test]
async fn only_sent_queries_are_counted() {
    // Nothing listens on port 1.
    let url = "postgres://postgres@127.0.0.1:1/postgres".to_owned();
    let fixture = Fixture::new(Config { url, acquire_timeout: Duration::from_millis(100), ..config("st_away") });
    let query = Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) };
    let (read, write) = (fixture.service(query.clone()), fixture.service(Query { access: Access::Write, ..query }));
    for service in [&read, &write] {
        for _ in 0..3 {
            assert_eq!(ask(service, get("/", &[])).await.status(), 503);
        }
    }
    let stats = fixture.database.stats();
    assert_eq!((stats.queries, stats.errors.get("connection")), (0, 6));
}

#[tokio::test]
async fn more_pools_than_configured_divide_the_shared_connections() {
    let fixture = Fixture::new(Config { pool_size: 8, shared: 4, ..config("st_pools") });
    let declared = fixture.declare(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
    let ask_all = async |pools: &[Pool]| {
        for pool in pools {
            let service = QueryService::new(pool.clone(), declared.clone());
            let crowd = (0..8).map(|_| ask(&service, get("/", &[])));
            for answer in futures_util::future::join_all(crowd).await {
                assert_eq!(text(&answer), r#"{"one":1}"#);
            }
        }
    };
    eventually("the first has all", async || fixture.database.stats().shared == 4).await;
    let mut pools = vec![fixture.pool.clone()];
    for _ in 0..3 {
        pools.push(fixture.database.pool());
        ask_all(&pools).await;
    }
    eventually("all are open", async || fixture.database.stats().shared == 4).await;
    assert_eq!(fixture.database.stats().own, 0, "none needed a connection of its own");
    pools.truncate(1);
    eventually("the first has all again", async || fixture.database.stats().shared == 4).await;
    ask_all(&pools).await;
    assert_eq!(fixture.database.stats().own, 0);
}

#[tokio::test]
async fn rows_are_typed_without_a_transaction() {
    postgres().psql("CREATE TABLE st_rows (id bigint PRIMARY KEY, name text, CHECK (id > 0))");
    let fixture = Fixture::new(config("st_rows"));
    for (id, name) in [(1_i64, Some("a")), (2, None)] {
        assert_eq!(fixture.pool.execute("INSERT INTO st_rows VALUES ($1, $2)", &[&id, &name]).await.unwrap(), 1);
    }
    let all = "SELECT id, name FROM st_rows WHERE id > $1 ORDER BY id";
    let rows = fixture.pool.query(all, &[&0_i64]).await.unwrap();
    let rows: Vec<(i64, Option<String>)> = rows.iter().map(|row| (row.get(0), row.get("name"))).collect();
    assert_eq!(rows, [(1, Some("a".to_owned())), (2, None)]);
    let refused = fixture.pool.execute("INSERT INTO st_rows VALUES (-1, NULL)", &[]).await.unwrap_err();
    assert_eq!(refused.as_db_error().unwrap().code(), &SqlState::CHECK_VIOLATION);
    let writes = fixture.pool.query("DELETE FROM st_rows RETURNING id", &[]).await.unwrap_err();
    assert_eq!(writes.as_db_error().unwrap().code().code(), "25006");
    // A migration does not show, and a setting does not remain.
    postgres().psql("ALTER TABLE st_rows ALTER COLUMN name TYPE varchar(9)");
    assert_eq!(fixture.pool.query("SELECT * FROM st_rows", &[]).await.unwrap().len(), 2);
    postgres().psql("ALTER TABLE st_rows ADD COLUMN more int");
    assert_eq!(fixture.pool.query("SELECT * FROM st_rows", &[]).await.unwrap()[0].len(), 3);
    for _ in 0..4 {
        fixture.pool.execute("SET application_name = 'touched'", &[]).await.unwrap();
    }
    let seen = fixture.service(Query {
        rows: Rows::One,
        access: Access::Write,
        ..Query::new(["SELECT current_setting('application_name') AS v"])
    });
    for _ in 0..4 {
        assert_eq!(text(&ask(&seen, post("{}")).await), r#"{"v":"st_rows"}"#);
    }
}
