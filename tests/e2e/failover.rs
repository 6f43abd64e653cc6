//! The primary dies, its standby takes over, and the service follows without a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dunlin_testkit::{Postgres, eventually, raw};

use crate::service::Service;

const ROUTES: &str = r#"
[[route]]
path = "/replica"
query = "SELECT n FROM f_rows"
rows = "one"
[[route]]
path = "/primary"
query = "SELECT n FROM f_rows"
rows = "one"
read_only = false
[[route]]
path = "/kept"
query = "SELECT n FROM f_rows"
rows = "one"
read_only = false
cache = { age = "1h", groups = ["f"] }
[[route]]
path = "/n"
method = "POST"
query = "UPDATE f_rows SET n = n + 1 RETURNING n"
rows = "one"
invalidates = ["f"]
"#;

/// The numbers of responses with a row, and with 503.
#[derive(Default)]
struct Seen([AtomicU64; 2]);

/// Asks for a path until it is over: every answer is a number that was written, or 503.
fn ask(service: &Service, path: &'static str, over: &Arc<AtomicBool>) -> (Arc<Seen>, JoinHandle<()>) {
    let (addr, over, seen) = (service.addr, Arc::clone(over), Arc::<Seen>::default());
    let counted = Arc::clone(&seen);
    let task = thread::spawn(move || {
        while !over.load(Relaxed) {
            let response = raw::get(addr, path);
            let at = match (response.status, response.text().as_str()) {
                (200, r#"{"n":1}"# | r#"{"n":2}"# | r#"{"n":3}"#) => 0,
                (503, _) => 1,
                (status, text) => panic!("{path}: {status} {text}"),
            };
            seen.0[at].fetch_add(1, Relaxed);
            thread::sleep(Duration::from_millis(5));
        }
    });
    (counted, task)
}

#[test]
fn a_failover_is_followed() {
    let mut primary = Postgres::start();
    primary.psql("CREATE TABLE f_rows (n int); INSERT INTO f_rows VALUES (0)");
    let standby = primary.standby();
    let hosts = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres", primary.port(), standby.port());
    let service = Service::start(&format!(
        "[database]\nurl = \"{hosts}?target_session_attrs=read-write\"\nread_url = \"{hosts}?target_session_attrs=prefer-standby\"\n{ROUTES}"
    ));
    let write = || raw::request(service.addr, "POST", "/n", &[], b"");
    let mut first = write();
    eventually("it is written to", || {
        if first.status == 503 {
            first = write();
        }
        first.status != 503
    });
    assert_eq!(first.text(), r#"{"n":1}"#);
    eventually("the standby follows", || service.get("/replica").text() == r#"{"n":1}"#);
    let over = Arc::new(AtomicBool::new(false));
    let readers = ["/replica", "/primary", "/kept"].map(|path| ask(&service, path, &over));
    let count = |of: usize, at: usize| readers[of].0.0[at].load(Relaxed);
    eventually("all are answered", || (0..3).all(|of| count(of, 0) > 10));

    primary.stop_hard();
    eventually("what needs the primary is refused", || count(1, 1) > 10);
    let good = count(0, 0);
    eventually("the standby goes on", || count(0, 0) > good + 10);
    assert_eq!(write().status, 503);

    assert_eq!(standby.psql("SELECT pg_promote()"), "t");
    let promoted = Instant::now();
    eventually("it is written to", || {
        let response = write();
        assert!(matches!(response.status, 200 | 503), "{}: {}", response.status, response.text());
        response.status == 200
    });
    let took = promoted.elapsed();
    println!("written to {took:?} after the promotion");
    assert!(took < Duration::from_secs(20), "{took:?}");
    // Stored responses follow the new primary: its notices arrive.
    eventually("what is kept is new", || service.get("/kept").text() == r#"{"n":2}"#);
    let hit = |response: &raw::Response| response.header("cache-status").is_some_and(|status| status.contains("hit"));
    eventually("it is kept again", || hit(&service.get("/kept")));
    standby.psql("UPDATE f_rows SET n = 3; NOTIFY dunlin_cache, 'f'");
    eventually("a notice of the new primary counts", || service.get("/kept").text() == r#"{"n":3}"#);

    over.store(true, Relaxed);
    for (_, task) in readers {
        task.join().expect("every answer was a row or 503");
    }
}
