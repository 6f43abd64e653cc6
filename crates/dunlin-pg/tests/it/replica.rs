//! A primary and its hot standby.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dunlin_pg::{Access, Config, Event, Isolation, Query, QueryService, Rows, Setting, Source};
use dunlin_testkit::{Postgres, free_port};
use tokio::sync::Mutex;

use crate::support::{Fixture, active, ask, config_of, eventually, get, hold, next, post, text};

/// The servers of tests that stop none of them. Each test has tables of its own. The standby delays
/// no read.
fn pair() -> &'static (Postgres, Postgres) {
    static PAIR: OnceLock<(Postgres, Postgres)> = OnceLock::new();
    PAIR.get_or_init(|| {
        let primary = Postgres::with(&["max_standby_streaming_delay=0"]);
        let standby = primary.standby();
        (primary, standby)
    })
}

/// The lock of tests that pause the standby, or that need it to go on.
static REPLAY: Mutex<()> = Mutex::const_new(());

/// A URL with these hosts.
fn url(ports: &[u16], options: &str) -> String {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("postgres://postgres@{}/postgres?{options}", hosts.join(","))
}

/// A read of one row.
fn read(fixture: &Fixture, sql: &str) -> QueryService {
    fixture.service(Query { rows: Rows::One, ..Query::new([sql]) })
}

fn write(fixture: &Fixture, sql: &str) -> QueryService {
    fixture.service(Query { rows: Rows::One, access: Access::Write, ..Query::new([sql]) })
}

/// Waits until the standby has caught up with the primary.
async fn catch_up(primary: &Postgres, standby: &Postgres) {
    let at = primary.psql("SELECT pg_current_wal_lsn()");
    eventually("the standby follows", async || {
        standby.psql(&format!("SELECT pg_last_wal_replay_lsn() >= '{at}'")) == "t"
    })
    .await;
}

/// The port of the server at the other end of a connection, or `None` if there is no connection.
async fn led_to(url: String, config: &Config) -> Option<u16> {
    let fixture = Fixture::new(Config { url, pool_size: 2, shared: 1, ..config.clone() });
    let server = write(&fixture, "SELECT inet_server_port() AS port");
    let answer = ask(&server, get("/", &[])).await;
    match answer.status().as_u16() {
        200 => {
            Some(serde_json::from_slice::<serde_json::Value>(answer.body()).unwrap()["port"].as_u64().unwrap() as u16)
        }
        503 => None,
        other => panic!("{other}: {}", text(&answer)),
    }
}

#[tokio::test]
async fn target_session_attrs_choose_among_a_primary_and_its_standby() {
    let (primary, standby) = pair();
    let _replay = REPLAY.lock().await;
    let config = config_of(primary, "r_attrs");
    let (p, s) = (primary.port(), standby.port());
    let check = async |ports: &[u16], attrs: &str, expect: Option<u16>| {
        let got = led_to(url(ports, &format!("target_session_attrs={attrs}")), &config).await;
        assert_eq!(got, expect, "{attrs} of {ports:?}, where {p} is the primary");
    };
    for (attrs, expect) in [("read-write", p), ("primary", p), ("read-only", s), ("standby", s), ("prefer-standby", s)]
    {
        check(&[p, s], attrs, Some(expect)).await;
        check(&[s, p], attrs, Some(expect)).await;
    }
    check(&[p, s], "any", Some(p)).await;
    check(&[s, p], "any", Some(s)).await;
    check(&[s], "primary", None).await;
    check(&[s], "read-write", None).await;
    check(&[p], "standby", None).await;
    check(&[p], "prefer-standby", Some(p)).await;
    // A host that is down, and one that accepts connections without an answer, are skipped.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().map(|addr| (silent, addr.port())).unwrap();
    check(&[free_port(), silent.1, s, p], "primary", Some(p)).await;
    check(&[silent.1, s], "any", Some(s)).await;
    check(&[silent.1, p], "prefer-standby", Some(p)).await;

    // As in libpq, the read-only default of transactions and the kind of server are two things.
    primary.psql("CREATE DATABASE r_attrs");
    primary.psql("ALTER DATABASE r_attrs SET default_transaction_read_only = on");
    catch_up(primary, standby).await;
    let check = async |ports: &[u16], attrs: &str, expect: Option<u16>| {
        let url = url(ports, &format!("target_session_attrs={attrs}")).replace("/postgres?", "/r_attrs?");
        assert_eq!(led_to(url, &config).await, expect, "{attrs} of {ports:?}, where {p} is the primary");
    };
    check(&[p, s], "read-only", Some(p)).await;
    check(&[p, s], "read-write", None).await;
    check(&[s, p], "primary", Some(p)).await;
    check(&[p, s], "standby", Some(s)).await;
    check(&[p, s], "prefer-standby", Some(s)).await;
}

#[tokio::test]
async fn reads_go_to_the_standby_and_writes_to_the_primary() {
    let (primary, standby) = pair();
    let _replay = REPLAY.lock().await;
    primary.psql("CREATE TABLE r_rows (n int); INSERT INTO r_rows VALUES (0)");
    catch_up(primary, standby).await;
    let fixture = Fixture::new(Config { read_url: Some(standby.url()), ..config_of(primary, "r_read") });
    let rows = read(&fixture, "SELECT n, pg_is_in_recovery() AS standby FROM r_rows");
    let add = write(&fixture, "UPDATE r_rows SET n = n + 1 RETURNING n, pg_is_in_recovery() AS standby");
    assert_eq!(text(&ask(&rows, get("/", &[])).await), r#"{"n":0,"standby":true}"#);
    // A standby that is behind returns old rows.
    standby.psql("SELECT pg_wal_replay_pause()");
    assert_eq!(text(&ask(&add, post("")).await), r#"{"n":1,"standby":false}"#);
    assert_eq!(text(&ask(&rows, get("/", &[])).await), r#"{"n":0,"standby":true}"#);
    standby.psql("SELECT pg_wal_replay_resume()");
    catch_up(primary, standby).await;
    assert_eq!(text(&ask(&rows, get("/", &[])).await), r#"{"n":1,"standby":true}"#);
}

#[tokio::test]
async fn a_write_on_a_standby_is_503() {
    let (primary, standby) = pair();
    let _replay = REPLAY.lock().await;
    primary.psql("CREATE TABLE r_late (n int); INSERT INTO r_late VALUES (0)");
    catch_up(primary, standby).await;
    let fixture = Fixture::new(config_of(standby, "r_late"));
    let one = write(&fixture, "UPDATE r_late SET n = 1");
    let several = fixture
        .service(Query { access: Access::Write, ..Query::new(["UPDATE r_late SET n = 1", "UPDATE r_late SET n = 2"]) });
    for service in [&one, &several] {
        let answer = ask(service, post("")).await;
        assert_eq!(answer.status(), 503, "{}", text(&answer));
    }
    // A read that writes in a function's body is a wrong declaration.
    let wrong = fixture.service(Query::new(["DO $$ BEGIN UPDATE r_late SET n = 1; END $$"]));
    assert_eq!(ask(&wrong, get("/", &[])).await.status(), 500);
}

/// The statement is sent together with BEGIN, which a standby refuses here. Without the settings it
/// must not answer.
#[tokio::test]
async fn a_read_whose_transaction_does_not_begin_has_no_answer() {
    let (_, standby) = pair();
    let fixture = Fixture::new(config_of(standby, "r_begin"));
    let query = Query {
        settings: vec![Setting::new("app.user", Source::named("user"))],
        isolation: Some(Isolation::Serializable),
        ..Query::new(["SELECT current_setting('app.user', true) AS v"])
    };
    for rows in [Rows::One, Rows::Many] {
        let service = fixture.service(Query { rows, ..query.clone() });
        for _ in 0..3 {
            let answer = ask(&service, get("/?user=ada", &[])).await;
            assert_eq!(answer.status(), 500, "{}", text(&answer));
        }
        let plain = fixture.service(Query { rows, isolation: None, ..query.clone() });
        assert!(text(&ask(&plain, get("/?user=ada", &[])).await).contains(r#"{"v":"ada"}"#));
    }
}

#[tokio::test]
async fn a_read_that_the_standby_cancels_is_retried() {
    let (primary, standby) = pair();
    let _replay = REPLAY.lock().await;
    primary.psql("CREATE TABLE r_cancel (n int); INSERT INTO r_cancel VALUES (7)");
    catch_up(primary, standby).await;
    let held = hold(standby, 1).await;
    let fixture = Fixture::new(config_of(standby, "r_cancel"));
    let slow = read(&fixture, "SELECT n, pg_advisory_xact_lock_shared(1)::text AS done FROM r_cancel");
    let asking = tokio::spawn(async move { text(&ask(&slow, get("/", &[])).await).to_owned() });
    let conflicts = || {
        standby.psql("SELECT confl_lock + confl_snapshot FROM pg_stat_database_conflicts WHERE datname = 'postgres'")
    };
    eventually("it runs", async || active(standby, "r_cancel") == 1).await;
    // The standby cannot continue while a query reads the table.
    primary.psql("ALTER TABLE r_cancel ADD COLUMN more int");
    eventually("it was cancelled once", async || conflicts() != "0").await;
    drop(held);
    assert_eq!(asking.await.unwrap(), r#"{"n":7,"done":""}"#);
    assert!(fixture.database.stats().retried > 0);
}

#[tokio::test]
async fn the_listener_finds_the_primary_among_the_hosts() {
    let (primary, standby) = pair();
    let url = url(&[standby.port(), primary.port()], "");
    let fixture = Fixture::new(Config { url, ..config_of(primary, "r_listen") });
    let mut listener = fixture.database.listen(["r_listen"]);
    assert_eq!(next(&mut listener).await, Event::Gap);
    primary.psql("NOTIFY r_listen, 'a'");
    assert_eq!(next(&mut listener).await, Event::Notice { channel: "r_listen".into(), payload: "a".into() });
    // A standby carries no notifications, so there is no event.
    let alone = Fixture::new(config_of(standby, "r_listen"));
    let mut cut_off = alone.database.listen(["r_listen"]);
    assert!(tokio::time::timeout(Duration::from_millis(500), cut_off.next()).await.is_err());
}

/// The answers to a client that asks again and again.
#[derive(Default)]
struct Seen {
    good: AtomicU64,
    refused: AtomicU64,
    over: AtomicBool,
}

/// Reads until the end of the test. An answer is a number that was written, or 503.
fn reader(service: &QueryService, newest: &Arc<AtomicU64>) -> (Arc<Seen>, tokio::task::JoinHandle<()>) {
    let (service, seen, newest) = (service.clone(), Arc::<Seen>::default(), newest.clone());
    let told = seen.clone();
    let task = tokio::spawn(async move {
        while !seen.over.load(Relaxed) {
            let answer = ask(&service, get("/", &[])).await;
            match answer.status().as_u16() {
                200 => {
                    let row: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
                    assert!(row["n"].as_u64().unwrap() <= newest.load(Relaxed), "{row}");
                    seen.good.fetch_add(1, Relaxed);
                }
                503 => drop(seen.refused.fetch_add(1, Relaxed)),
                other => panic!("{other}: {}", text(&answer)),
            }
        }
    });
    (told, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed_without_a_restart() {
    let mut primary = Postgres::start();
    primary.psql("CREATE TABLE r_fail (n bigint); INSERT INTO r_fail VALUES (0)");
    let standby = primary.standby();
    let ports = [primary.port(), standby.port()];
    let (url_of_both, acquire_timeout) = (url(&ports, "target_session_attrs=read-write"), Duration::from_secs(5));
    let config = Config { url: url_of_both, acquire_timeout, ..config_of(&primary, "r_fail") };
    let strict = Fixture::new(config.clone());
    let replica = url(&ports, "target_session_attrs=prefer-standby");
    let relaxed = Fixture::new(Config { read_url: Some(replica), ..config });
    let rows = |fixture: &Fixture| read(fixture, "SELECT n FROM r_fail");
    let set = write(&strict, "UPDATE r_fail SET n = n + 1 RETURNING n");
    let mut listener = strict.database.listen(["r_fail"]);
    assert_eq!(next(&mut listener).await, Event::Gap);

    let newest = Arc::new(AtomicU64::new(1));
    let (strict_seen, strict_reads) = reader(&rows(&strict), &newest);
    let (relaxed_seen, relaxed_reads) = reader(&rows(&relaxed), &newest);
    assert_eq!(text(&ask(&set, post("")).await), r#"{"n":1}"#);
    catch_up(&primary, &standby).await;
    eventually("both read", async || strict_seen.good.load(Relaxed) > 50 && relaxed_seen.good.load(Relaxed) > 50).await;

    primary.stop_hard();
    eventually("it is missed", async || strict_seen.refused.load(Relaxed) > 50).await;
    assert_eq!(ask(&set, post("")).await.status(), 503);
    let old = relaxed_seen.good.load(Relaxed);
    eventually("the standby is read from", async || relaxed_seen.good.load(Relaxed) > old + 50).await;
    assert_eq!(next(&mut listener).await, Event::Lost);

    newest.store(u64::MAX, Relaxed);
    assert_eq!(standby.psql("SELECT pg_promote()"), "t");
    let promoted = Instant::now();
    let good = strict_seen.good.load(Relaxed);
    let mut tries = 0;
    eventually("it is written to", async || {
        tries += 1;
        let answer = ask(&set, post("")).await;
        assert!(matches!(answer.status().as_u16(), 200 | 503), "{}", text(&answer));
        answer.status() == 200
    })
    .await;
    let written = promoted.elapsed();
    eventually("it is read from", async || strict_seen.good.load(Relaxed) > good).await;
    let read = promoted.elapsed();
    println!("after the promotion it was written to in {written:?}, read from in {read:?}, {tries} tries");
    assert!(written.max(read) < Duration::from_secs(20), "{written:?}, {read:?}");
    // The write that was acknowledged before is there.
    assert_eq!(text(&ask(&rows(&strict), get("/", &[])).await), r#"{"n":2}"#);
    assert_eq!(next(&mut listener).await, Event::Gap);
    standby.psql("NOTIFY r_fail, 'after'");
    assert_eq!(next(&mut listener).await, Event::Notice { channel: "r_fail".into(), payload: "after".into() });

    for (seen, task) in [(strict_seen, strict_reads), (relaxed_seen, relaxed_reads)] {
        seen.over.store(true, Relaxed);
        // It fails if an answer was neither a row nor 503.
        task.await.unwrap();
    }
}
