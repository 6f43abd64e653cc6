//! Load while things break: every request gets an answer, no answer is wrong, and service recovers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dunlin_pg::{Access, Config, Query, QueryService, Rows};
use dunlin_testkit::Postgres;

use crate::support::{Fixture, ask, config_of, connections, eventually, get, named, post, text};

/// Counts of answers by kind.
#[derive(Default)]
struct Counts {
    good: AtomicUsize,
    refused: AtomicUsize,
    wrong: AtomicUsize,
}

struct Load {
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Starts readers that each read a row of their own, and a writer that counts up.
    fn start(read: &QueryService, write: &QueryService, acknowledged: &Arc<AtomicUsize>) -> Self {
        let counts = Arc::new(Counts::default());
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for id in 1..=8 {
            let (read, counts, stop) = (read.clone(), counts.clone(), stop.clone());
            tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask(&read, get(&format!("/?id={id}"), &[])).await;
                    let expect = format!("{{\"id\":{id},\"name\":\"n{id}\"}}");
                    counts.tell(
                        answer.status().as_u16(),
                        answer.status() != 200 || text(&answer) == expect,
                        text(&answer),
                    );
                }
            }));
        }
        let (write, counted, stopped, done) = (write.clone(), counts.clone(), stop.clone(), acknowledged.clone());
        tasks.push(tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                let answer = ask(&write, post("{}")).await;
                if answer.status() == 204 {
                    done.fetch_add(1, Ordering::Relaxed);
                }
                counted.tell(answer.status().as_u16(), true, text(&answer));
            }
        }));
        Self { counts, stop, tasks }
    }

    fn phase(&self) -> (usize, usize, usize) {
        let Counts { good, refused, wrong } = &*self.counts;
        (good.swap(0, Ordering::Relaxed), refused.swap(0, Ordering::Relaxed), wrong.swap(0, Ordering::Relaxed))
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            // `ask` fails if there is no answer, so that no request hangs.
            task.await.unwrap();
        }
    }
}

impl Counts {
    fn tell(&self, status: u16, right: bool, body: &str) {
        let count = match status {
            200 | 204 if right => &self.good,
            503 => &self.refused,
            _ => {
                println!("wrong: {status} {body}");
                &self.wrong
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_wrong_or_missing_while_things_break() {
    let mut postgres = Postgres::start();
    postgres.psql(
        "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users SELECT g, 'n' || g FROM generate_series(1, 8) g;
         CREATE TABLE counter (n bigint); INSERT INTO counter VALUES (0)",
    );
    let fixture = Fixture::new(Config { acquire_timeout: Duration::from_secs(5), ..config_of(&postgres, "chaos") });
    let read = fixture.service(Query {
        params: named(&["id"]),
        rows: Rows::One,
        ..Query::new(["SELECT * FROM users WHERE id = $1"])
    });
    let write = fixture.service(Query { access: Access::Write, ..Query::new(["UPDATE counter SET n = n + 1"]) });
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let load = Load::start(&read, &write, &acknowledged);
    let served = async |what: &str| {
        load.phase();
        eventually(what, async || load.counts.good.load(Ordering::Relaxed) > 50).await;
    };
    served("it serves").await;

    // Connections are terminated one by one. No read fails, but a write may.
    for _ in 0..10 {
        postgres
            .psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chaos' LIMIT 1");
    }
    let (good, refused, wrong) = load.phase();
    println!("terminated one by one: {good} good, {refused} refused, {wrong} wrong");
    assert!(good > 0 && wrong == 0 && refused <= 20, "{good} {refused} {wrong}");

    // A migration changes the table's type under the prepared statements, back and forth.
    served("it serves after terminations").await;
    for ty in ["bigint", "int", "bigint", "int"] {
        postgres.psql(&format!("ALTER TABLE users ALTER COLUMN id TYPE {ty}"));
    }
    let (good, refused, wrong) = load.phase();
    println!("migrations: {good} good, {refused} refused, {wrong} wrong");
    // The last termination may show only now.
    assert!(good > 0 && wrong == 0 && refused <= 1, "{good} {refused} {wrong}");

    // Another client locks the table for some time.
    postgres.psql("BEGIN; LOCK TABLE users; SELECT pg_sleep(1); COMMIT");
    let (good, refused, wrong) = load.phase();
    println!("locked for a second: {good} good, {refused} refused, {wrong} wrong");
    assert_eq!(wrong, 0);

    // The server crashes and comes back.
    served("it serves after a lock").await;
    postgres.stop_hard();
    eventually("requests are refused", async || load.counts.refused.load(Ordering::Relaxed) > 50).await;
    let (good, refused, wrong) = load.phase();
    println!("killed: {good} good, {refused} refused, {wrong} wrong");
    assert_eq!(wrong, 0);
    postgres.restart();
    let back = Instant::now();
    load.phase();
    eventually("it serves again", async || load.counts.good.load(Ordering::Relaxed) > 10).await;
    let took = back.elapsed();
    println!("served again {took:?} after the database was back");
    assert!(took < Duration::from_secs(20), "{took:?}");
    served("it serves well").await;
    let (_, _, wrong) = load.phase();
    assert_eq!(wrong, 0);

    load.end().await;
    // A write that was acknowledged is there after the crash.
    let counted: usize = postgres.psql("SELECT n FROM counter").trim().parse().unwrap();
    assert!(counted >= acknowledged.load(Ordering::Relaxed));
    assert!(connections(&postgres, "chaos") <= 4);
    drop((fixture, read, write));
    eventually("no connection is left", async || connections(&postgres, "chaos") == 0).await;
}
