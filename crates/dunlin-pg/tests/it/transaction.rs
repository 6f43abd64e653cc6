//! Transactions by hand, and behind a pooler.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use dunlin_pg::{Access, Config, Error, Isolation, Pooler, Query, QueryService, Rows, TransactionOptions};

use crate::support::{Fixture, ask, config, connections, eventually, get, named, post, postgres, text};

const WRITE: TransactionOptions = TransactionOptions { access: Access::Write, isolation: None };

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back_and_its_connection_reused() {
    postgres().psql("CREATE TABLE x_drop (n int)");
    let fixture = Fixture::new(config("x_drop"));
    let mut first = None;
    for _ in 0..5 {
        let mut transaction = fixture.pool.begin(WRITE).await.unwrap();
        transaction.execute("INSERT INTO x_drop VALUES ($1)", &[&1]).await.unwrap();
        let pid: i32 = transaction.query("SELECT pg_backend_pid()", &[]).await.unwrap()[0].get(0);
        assert_eq!(*first.get_or_insert(pid), pid, "the same connection, clean again");
        drop(transaction);
        eventually("it was given back", async || fixture.database.stats().busy == 0).await;
    }
    assert_eq!(postgres().psql("SELECT count(*) FROM x_drop").trim(), "0");
    // The connection is good after an error in a transaction.
    let mut transaction = fixture.pool.begin(WRITE).await.unwrap();
    assert!(transaction.query("SELECT 1 / 0", &[]).await.is_err());
    drop(transaction);
    let mut transaction = fixture.pool.begin(WRITE).await.unwrap();
    transaction.execute("INSERT INTO x_drop VALUES (2)", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(postgres().psql("SELECT n FROM x_drop").trim(), "2");
    let transaction = fixture.pool.begin(TransactionOptions::default()).await.unwrap();
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn a_commit_after_a_failed_statement_is_an_error() {
    postgres().psql("CREATE TABLE x_failed (n int PRIMARY KEY)");
    let fixture = Fixture::new(config("x_failed"));
    let mut transaction = fixture.pool.begin(WRITE).await.unwrap();
    let insert = "INSERT INTO x_failed VALUES ($1)";
    transaction.execute(insert, &[&1]).await.unwrap();
    assert!(transaction.execute(insert, &[&1]).await.is_err());
    assert!(transaction.execute(insert, &[&2]).await.is_err(), "nothing is taken any more");
    let error = transaction.commit().await.unwrap_err();
    assert!(error.to_string().contains("duplicate key"), "{error}");
    assert_eq!(postgres().psql("SELECT count(*) FROM x_failed"), "0");
    // After a rollback to a savepoint, the error does not count.
    let mut transaction = fixture.pool.begin(WRITE).await.unwrap();
    transaction.execute(insert, &[&1]).await.unwrap();
    transaction.execute("SAVEPOINT s", &[]).await.unwrap();
    assert!(transaction.execute(insert, &[&1]).await.is_err());
    transaction.execute("ROLLBACK TO s", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(postgres().psql("SELECT count(*) FROM x_failed"), "1");
}

#[tokio::test]
async fn counts_of_pools_that_are_gone_remain() {
    let fixture = Fixture::new(config("x_more"));
    let declared = fixture.declare(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
    for _ in 0..3 {
        let pools = [fixture.pool.clone(), fixture.database.pool(), fixture.database.pool()];
        for service in pools.map(|pool| QueryService::new(pool, declared.clone())) {
            assert_eq!(text(&ask(&service, get("/", &[])).await), r#"{"one":1}"#);
        }
        assert!(connections(postgres(), "x_more") <= 4);
    }
    assert_eq!(fixture.database.stats().queries, 9, "what pools did that are gone counts still");
}

#[tokio::test]
async fn a_transaction_that_loses_a_conflict_runs_again() {
    postgres().psql("CREATE TABLE x_race (n int); INSERT INTO x_race VALUES (0)");
    let fixture = Fixture::new(Config { pool_size: 8, shared: 1, retries: 20, ..config("x_race") });
    let options = TransactionOptions { isolation: Some(Isolation::Serializable), ..WRITE };
    let (tries, all) = (AtomicU32::new(0), tokio::sync::Barrier::new(5));
    let add = async || {
        let first = AtomicBool::new(true);
        let work = || async {
            tries.fetch_add(1, Ordering::Relaxed);
            let mut transaction = fixture.pool.begin(options).await?;
            let n: i32 = transaction.query("SELECT n FROM x_race", &[]).await?[0].get(0);
            if first.swap(false, Ordering::Relaxed) {
                all.wait().await; // Each has seen what all others are to change.
            }
            transaction.execute("UPDATE x_race SET n = $1", &[&(n + 1)]).await?;
            transaction.commit().await
        };
        fixture.pool.retry(work).await
    };
    let results = futures_util::future::join_all((0..5).map(|_| add())).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(postgres().psql("SELECT n FROM x_race").trim(), "5");
    assert!(tries.load(Ordering::Relaxed) > 5, "some lost");
}

#[tokio::test]
async fn idle_connections_make_room_for_other_pools() {
    // There is one dedicated connection for the reads and writes of two pools.
    let acquire_timeout = Duration::from_secs(3);
    let fixture = Fixture::new(Config { pool_size: 3, shared: 1, pools: 2, acquire_timeout, ..config("x_room") });
    let other = fixture.database.pool();
    for pool in [&fixture.pool, &other, &fixture.pool, &other] {
        for access in [Access::Read, Access::Write] {
            let mut transaction = pool.begin(TransactionOptions { access, isolation: None }).await.unwrap();
            transaction.query("SELECT 1", &[]).await.unwrap();
            transaction.commit().await.unwrap();
        }
    }
    assert!(connections(postgres(), "x_room") <= 3);
    let held = fixture.pool.begin(WRITE).await.unwrap();
    assert!(matches!(other.begin(WRITE).await, Err(Error::Exhausted)));
    drop(held);
}

#[tokio::test]
async fn behind_a_pooler_no_statement_outlives_a_transaction() {
    postgres().psql("CREATE TABLE x_pooler (id int PRIMARY KEY, words text[]); INSERT INTO x_pooler VALUES (1, '{a}')");
    let fixture = Fixture::new(Config { pooler: Pooler::Transaction, ..config("x_pooler") });
    let one = fixture.service(Query {
        params: named(&["id"]),
        rows: Rows::One,
        ..Query::new(["SELECT *, current_setting('transaction_read_only') AS ro, (SELECT count(*) FROM pg_prepared_statements) AS named FROM x_pooler WHERE id = $1"])
    });
    let answer = ask(&one, get("/?id=1", &[])).await;
    assert_eq!(text(&answer), r#"{"id":1,"words":["a"],"ro":"on","named":0}"#);
    let refused = ask(&one, get("/?id=x", &[])).await;
    assert_eq!(refused.status(), 400);
    assert!(text(&refused).contains(r#""parameter":"id""#), "{}", text(&refused));
    let many = fixture
        .service(Query { params: named(&["id"]), ..Query::new(["SELECT id FROM x_pooler WHERE id = ANY($1::int[])"]) });
    assert_eq!(text(&ask(&many, get("/?id=1&id=2", &[])).await), r#"[{"id":1}]"#);
    assert_eq!(text(&ask(&many, get("/?id=%7B2%7D", &[])).await), "[]");
    let insert = fixture.service(Query {
        params: named(&["body.id"]),
        access: Access::Write,
        ..Query::new(["INSERT INTO x_pooler VALUES ($1)"])
    });
    assert_eq!(ask(&insert, post(r#"{"id": 2}"#)).await.status(), 204);
    assert_eq!(ask(&insert, post(r#"{"id": 2}"#)).await.status(), 409);
}

#[tokio::test]
async fn a_failover_is_followed() {
    // Both names lead to one server, and the first host does not exist.
    let port = postgres().port();
    let gone = dunlin_testkit::free_port();
    let url = format!("postgres://postgres@127.0.0.1:{gone},127.0.0.1:{port}/postgres?target_session_attrs=read-write");
    let fixture = Fixture::new(Config { url, ..config("x_hosts") });
    let one = fixture.service(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
    assert_eq!(text(&ask(&one, get("/", &[])).await), r#"{"one":1}"#);
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?target_session_attrs=read-only");
    let standby = Fixture::new(Config { url, acquire_timeout: Duration::from_secs(1), ..config("x_hosts") });
    let one = standby.service(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
    assert_eq!(ask(&one, get("/", &[])).await.status(), 503, "the only server is no standby");
}
