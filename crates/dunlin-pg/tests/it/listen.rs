//! Notifications and their gaps.

use std::time::Instant;

use dunlin_pg::{Access, Event, TransactionOptions, triggers};

use crate::support::{Fixture, config, next, postgres};

#[tokio::test]
async fn notifications_arrive_and_gaps_are_reported() {
    let fixture = Fixture::new(config("l_gaps"));
    let mut listener = fixture.database.listen(["l_one", "L \"two\""]);
    assert_eq!(next(&mut listener).await, Event::Gap, "what was before is not known");
    postgres().psql("NOTIFY l_one, 'a'; NOTIFY \"L \"\"two\"\"\"; NOTIFY l_other, 'c'; NOTIFY l_one, 'd'");
    let notice = |channel: &str, payload: &str| Event::Notice { channel: channel.into(), payload: payload.into() };
    assert_eq!(next(&mut listener).await, notice("l_one", "a"));
    assert_eq!(next(&mut listener).await, notice("L \"two\"", ""));
    assert_eq!(next(&mut listener).await, notice("l_one", "d"));
    postgres().psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'l_gaps'");
    assert_eq!(next(&mut listener).await, Event::Lost);
    assert_eq!(next(&mut listener).await, Event::Gap);
    postgres().psql("NOTIFY l_one, 'e'");
    assert_eq!(next(&mut listener).await, notice("l_one", "e"));
}

#[tokio::test]
async fn triggers_notify_once_for_each_statement_and_may_be_installed_again() {
    postgres().psql("CREATE SCHEMA \"L x\"; CREATE TABLE \"L x\".\"T\" (n int)");
    let install = triggers::install("l_cache", "\"L x\".\"T\"", &["users", "it's$dunlin$"]).unwrap();
    for _ in 0..2 {
        postgres().psql(&install);
    }
    let fixture = Fixture::new(config("l_triggers"));
    let mut listener = fixture.database.listen(["l_cache"]);
    assert_eq!(next(&mut listener).await, Event::Gap);
    let notice = Event::Notice { channel: "l_cache".into(), payload: "users it's$dunlin$".into() };
    for change in [
        "INSERT INTO \"L x\".\"T\" SELECT generate_series(1, 1000)",
        "UPDATE \"L x\".\"T\" SET n = n + 1",
        "DELETE FROM \"L x\".\"T\" WHERE n = 5",
        "TRUNCATE \"L x\".\"T\"",
    ] {
        postgres().psql(change);
        assert_eq!(next(&mut listener).await, notice, "{change}");
    }
    postgres().psql("BEGIN; DELETE FROM \"L x\".\"T\"; ROLLBACK");
    postgres().psql(&triggers::remove("l_cache", "\"L x\".\"T\"").unwrap());
    postgres().psql("DELETE FROM \"L x\".\"T\"; NOTIFY l_cache, 'end'");
    assert_eq!(next(&mut listener).await, Event::Notice { channel: "l_cache".into(), payload: "end".into() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_is_fast() {
    let fixture = Fixture::new(config("l_quick"));
    let mut listener = fixture.database.listen(["l_quick"]);
    assert_eq!(next(&mut listener).await, Event::Gap);
    let mut took = Vec::new();
    let write = TransactionOptions { access: Access::Write, isolation: None };
    for _ in 0..200 {
        let mut transaction = fixture.pool.begin(write).await.unwrap();
        transaction.execute("NOTIFY l_quick", &[]).await.unwrap();
        transaction.commit().await.unwrap();
        let committed = Instant::now();
        next(&mut listener).await;
        took.push(committed.elapsed());
    }
    took.sort_unstable();
    println!("from the commit's return to the notice: p50 {:?}, p99 {:?}", took[100], took[198]);
}
