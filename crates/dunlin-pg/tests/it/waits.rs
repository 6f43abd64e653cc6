//! Every wait has a limit, and abandoned statements are cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use dunlin_pg::{Access, Config, ErrorKind, Query, Rows, TransactionOptions};
use http::Method;

use crate::support::{
    Fixture, active, ask, config, connections, eventually, get, hold, named, post, postgres, text, waiting,
};

fn sleeping(seconds: u32, access: Access) -> Query {
    Query { rows: Rows::One, access, ..Query::new([format!("SELECT pg_sleep({seconds})::text AS slept")]) }
}

#[tokio::test]
async fn a_statement_has_a_time_limit() {
    let fixture = Fixture::new(Config { statement_timeout: Duration::from_millis(300), ..config("w_statement") });
    for access in [Access::Read, Access::Write] {
        let slow = fixture.service(sleeping(30, access));
        assert_eq!(ask(&slow, get("/", &[])).await.status(), 504);
    }
    eventually("it does not run on", async || active(postgres(), "w_statement") == 0).await;
}

#[tokio::test]
async fn a_slow_read_delays_no_other() {
    let fixture = Fixture::new(Config { shared: 1, pool_size: 3, ..config("w_slow") });
    let held = hold(postgres(), 1).await;
    let slow = fixture.service(waiting(1, Access::Read));
    let fast = fixture.service(Query { params: named(&["n"]), rows: Rows::One, ..Query::new(["SELECT $1::int AS n"]) });
    assert_eq!(ask(&fast, get("/?n=1", &[])).await.status(), 200);
    let slow = tokio::spawn(async move { ask(&slow, get("/", &[])).await });
    // It has to run on the only shared connection first.
    eventually("it runs", async || active(postgres(), "w_slow") == 1).await;
    let answers = futures_util::future::join_all((0..10).map(|n| {
        let fast = fast.clone();
        async move { ask(&fast, get(&format!("/?n={n}"), &[])).await }
    }));
    for (n, answer) in answers.await.into_iter().enumerate() {
        assert_eq!(text(&answer), format!("{{\"n\":{n}}}"));
    }
    assert!(!slow.is_finished(), "they did not wait for it");
    drop(held);
    assert_eq!(slow.await.unwrap().status(), 200, "and it has its answer");
}

#[tokio::test]
async fn reads_return_to_the_shared_connections_after_a_wait() {
    let fixture =
        Fixture::new(Config { pool_size: 3, shared: 1, acquire_timeout: Duration::from_secs(10), ..config("w_back") });
    let sql = "SELECT $1::int AS n, pg_sleep(0.02)::text AS slept";
    let some = fixture.service(Query { params: named(&["n"]), rows: Rows::One, ..Query::new([sql]) });
    let crowd: Vec<_> = (0..40)
        .map(|n| {
            let some = some.clone();
            tokio::spawn(async move { ask(&some, get(&format!("/?n={n}"), &[])).await.status() })
        })
        .collect();
    eventually("they run", async || active(postgres(), "w_back") == 1).await;
    // All are sent again on the two dedicated connections, one after the other.
    postgres().psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'w_back'");
    for status in futures_util::future::join_all(crowd).await {
        assert_eq!(status.unwrap(), 200);
    }
    eventually("the shared one is back", async || fixture.database.stats().shared == 1).await;
    let write = TransactionOptions { access: Access::Write, isolation: None };
    let _held = [fixture.pool.begin(write).await.unwrap(), fixture.pool.begin(write).await.unwrap()];
    let answer = tokio::time::timeout(Duration::from_secs(5), ask(&some, get("/?n=1", &[]))).await;
    assert_eq!(answer.expect("the others are taken").status(), 200);
}

#[tokio::test]
async fn the_server_ends_an_idle_transaction() {
    let idle_transaction_timeout = Duration::from_millis(100);
    let fixture = Fixture::new(Config { idle_transaction_timeout, ..config("w_idle") });
    let write = TransactionOptions { access: Access::Write, isolation: None };
    let mut transaction = fixture.pool.begin(write).await.unwrap();
    eventually("the server ends it", async || connections(postgres(), "w_idle") == 2).await;
    let error = transaction.query("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    drop(transaction);
    eventually("its place is free", async || fixture.database.stats().own == 0).await;
}

#[tokio::test]
async fn an_abandoned_statement_is_cancelled() {
    let fixture = Fixture::new(Config { statement_timeout: Duration::from_secs(60), ..config("w_cancel") });
    for access in [Access::Read, Access::Write] {
        let slow = fixture.service(sleeping(50, access));
        let asking = tokio::spawn(async move { ask(&slow, get("/", &[])).await });
        eventually("it runs", async || active(postgres(), "w_cancel") == 1).await;
        asking.abort();
        eventually("it was cancelled", async || active(postgres(), "w_cancel") == 0).await;
    }
    eventually("the budget is whole again", async || fixture.database.stats().busy == 0).await;
    let fine = fixture.service(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
    assert_eq!(text(&ask(&fine, get("/", &[])).await), r#"{"one":1}"#);
}

#[tokio::test]
async fn an_exhausted_budget_is_503_after_a_moment_or_at_once() {
    for wait in [Duration::from_millis(100), Duration::ZERO] {
        let fixture = Fixture::new(Config { pool_size: 3, shared: 2, acquire_timeout: wait, ..config("w_exhausted") });
        let held = hold(postgres(), 2).await;
        let slow = fixture.service(waiting(2, Access::Write));
        let first = tokio::spawn({
            let slow = slow.clone();
            async move { ask(&slow, post("{}")).await }
        });
        eventually("it runs", async || active(postgres(), "w_exhausted") == 1).await;
        let refused = ask(&slow, post("{}")).await;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "1");
        drop(held);
        assert_eq!(first.await.unwrap().status(), 200);
        assert_eq!(fixture.database.stats().exhausted, 1);
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_503_at_once() {
    let port = dunlin_testkit::free_port();
    let fixture = Fixture::new(Config { pool_size: 4, ..Config::new(format!("postgres://a:hush@127.0.0.1:{port}/a")) });
    let one = fixture.service(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
    for method in [Method::GET, Method::POST] {
        let mut request = get("/", &[]);
        *request.method_mut() = method;
        let response = ask(&one, request).await;
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        assert!(!text(&response).contains("127.0.0.1"), "{}", text(&response));
    }
    let error = fixture.pool.ready().await.unwrap_err().to_string();
    assert!(error.contains("refused") && !error.contains("hush"), "{error}");
}

#[tokio::test]
async fn a_crowd_during_an_outage_opens_few_connections() {
    // The port is closed at once, like that of a server that is starting, or it never answers, like
    // a machine that hangs.
    for hangs in [false, true] {
        no_storm(hangs, Method::GET).await;
        no_storm(hangs, Method::POST).await;
    }
}

async fn no_storm(hangs: bool, method: Method) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tried = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let tried = tried.clone();
        async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                tried.fetch_add(1, Relaxed);
                held.extend(hangs.then_some(stream));
            }
        }
    });
    let config = Config::new(format!("postgres://a@127.0.0.1:{port}/a"));
    let wait = Duration::from_millis(200);
    let fixture = Fixture::new(Config { pool_size: 4, connect_timeout: wait, acquire_timeout: wait, ..config });
    let access = if method == Method::GET { Access::Read } else { Access::Write };
    let one = fixture.service(Query { rows: Rows::One, access, ..Query::new(["SELECT 1 AS one"]) });
    for _ in 0..50 {
        let answers = futures_util::future::join_all((0..20).map(|_| ask(&one, get("/", &[])))).await;
        assert!(answers.iter().all(|answer| answer.status() == 503));
    }
    let tried = tried.load(Relaxed);
    assert!((1..100).contains(&tried), "{tried} connections for 1000 requests; {hangs} {method}");
}

#[tokio::test]
async fn identical_reads_in_flight_are_collapsed() {
    postgres().psql("CREATE TABLE w_seen (n int); INSERT INTO w_seen VALUES (0)");
    let fixture = Fixture::new(config("w_join"));
    let query = Query { rows: Rows::One, ..Query::new(["SELECT n, pg_sleep(0.05)::text FROM w_seen"]) };
    let shared = fixture.service(query.clone());
    let answers = futures_util::future::join_all((0..20).map(|_| ask(&shared, get("/", &[])))).await;
    assert!(answers.iter().all(|answer| answer.status() == 200));
    assert_eq!(fixture.database.stats().joined, 18, "the first ran, the second ran for all that came meanwhile");
    // A request that comes after a write gets no answer from before it.
    for n in 1..10 {
        let before = tokio::spawn({
            let shared = shared.clone();
            async move { ask(&shared, get("/", &[])).await }
        });
        tokio::task::yield_now().await;
        postgres().psql(&format!("UPDATE w_seen SET n = {n}"));
        let after = ask(&shared, get("/", &[])).await;
        assert!(text(&after).starts_with(&format!("{{\"n\":{n},")), "{}", text(&after));
        before.await.unwrap();
    }
    let alone = fixture.service(Query { share: false, ..query });
    futures_util::future::join_all((0..4).map(|_| ask(&alone, get("/", &[])))).await;
    assert!(fixture.database.stats().joined >= 18);
}
