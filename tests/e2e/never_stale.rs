//! A response stored for an hour is always the current row, also while the notification connection
//! is cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dunlin_testkit::{eventually, raw};

use crate::database;
use crate::service::{Service, database_at};

const WRITES: u64 = 60;

const CUTS: usize = 5;

/// The limit for a notice on a busy machine, where the process that sends it may wait for a
/// processor for seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// The facts that the readers and the writer share.
#[derive(Default)]
struct Seen {
    /// The largest number that a reader has seen. No later response may have a smaller one.
    least: AtomicU64,
    hits: AtomicUsize,
    answers: AtomicUsize,
    /// The number of times that the notification connection was cut.
    cuts: AtomicUsize,
    over: AtomicBool,
}

/// The number in the row, and whether it came from the cache.
fn read(connection: &mut raw::Connection) -> (u64, bool) {
    connection.send_request("GET", "/row/1", &[], b"");
    let response = connection.read("GET").expect("an answer");
    assert_eq!(response.status, 200, "{}", response.text());
    let row: serde_json::Value = serde_json::from_slice(&response.body).expect("a row");
    let hit = response.header("cache-status").is_some_and(|status| status.contains("hit"));
    (row["n"].as_u64().expect("a number"), hit)
}

fn reader(service: &Service, seen: &Arc<Seen>) -> JoinHandle<()> {
    let (addr, seen) = (service.addr, Arc::clone(seen));
    thread::spawn(move || {
        let mut connection = raw::Connection::open(addr);
        while !seen.over.load(Ordering::Acquire) {
            let least = seen.least.load(Ordering::Acquire);
            let (n, hit) = read(&mut connection);
            assert!(n >= least, "{n} was answered after {least}");
            seen.hits.fetch_add(usize::from(hit), Ordering::Relaxed);
            seen.answers.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// Writes by psql, one number after the other, and waits for each to be answered: how long that
/// took after the commit's return.
fn write(service: &Service, seen: &Seen, numbers: impl Iterator<Item = u64>) -> Vec<Duration> {
    let mut connection = raw::Connection::open(service.addr);
    let write = |n: u64| {
        database().psql(&format!("UPDATE ns_rows SET n = {n}"));
        let committed = Instant::now();
        loop {
            let asked = committed.elapsed();
            if read(&mut connection).0 == n {
                seen.least.store(n, Ordering::Release);
                return asked;
            }
            assert!(asked < LIMIT, "{n} is not answered {asked:?} after its commit");
        }
    };
    numbers.map(write).collect()
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let (p50, p99, max) = (took[took.len() / 2], took[took.len() * 99 / 100], took[took.len() - 1]);
    println!(
        "{what}: the old row was answered until p50 {p50:?}, p99 {p99:?}, at most {max:?} after the commit's return"
    );
}

#[test]
fn no_reader_sees_an_old_row_once_its_notice_has_had_its_time() {
    database().psql(
        "CREATE TABLE ns_rows (id bigint PRIMARY KEY, n bigint); INSERT INTO ns_rows VALUES (1, 0);
         CREATE FUNCTION ns_notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('ns_channel', 'ns_rows'); RETURN NULL; END $$;
         CREATE TRIGGER ns_notify AFTER UPDATE ON ns_rows EXECUTE FUNCTION ns_notify()",
    );
    let service = Service::start(&format!(
        "{}[cache]\nnotify = \"ns_channel\"\n[[route]]\npath = \"/row/{{id}}\"\nquery = \"SELECT * FROM ns_rows WHERE id = $1\"\nparams = [\"id\"]\nrows = \"one\"\ncache = {{ age = \"1h\", groups = [\"ns_rows\"] }}\n",
        database_at(&database().url())
    ));
    let mut connection = raw::Connection::open(service.addr);
    eventually("notices arrive, so that it is stored", || read(&mut connection).1);
    let seen = Arc::new(Seen::default());
    let readers: Vec<_> = (0..3).map(|_| reader(&service, &seen)).collect();
    tell("listening", write(&service, &seen, 1..WRITES));
    let (hits, answers) = (seen.hits.load(Ordering::Relaxed), seen.answers.load(Ordering::Relaxed));
    println!("{hits} of {answers} answers were kept ones");
    assert!(hits * 2 > answers, "it was shown of kept answers: {hits} of {answers}");

    // The listener's connection is cut at any moment: before a write, during a notice, after.
    let cuts = {
        let seen = Arc::clone(&seen);
        thread::spawn(move || {
            while !seen.over.load(Ordering::Acquire) {
                let sql = "SELECT pg_sleep(random() * 0.3); SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%LISTEN \"ns_channel\"%' AND pid <> pg_backend_pid()";
                seen.cuts.fetch_add(usize::from(database().psql(sql).ends_with('1')), Ordering::Relaxed);
            }
        })
    };
    let cuts_so_far = || seen.cuts.load(Ordering::Relaxed);
    let numbers = (WRITES..20 * WRITES).take_while(|n| *n < 2 * WRITES || cuts_so_far() < CUTS);
    tell("cut at random", write(&service, &seen, numbers));
    seen.over.store(true, Ordering::Release);
    readers.into_iter().for_each(|reader| reader.join().expect("no old row"));
    cuts.join().expect("cuts");
    println!("the listener was cut {} times", cuts_so_far());
    assert!(cuts_so_far() > 0);
}
