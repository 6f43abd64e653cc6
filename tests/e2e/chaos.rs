//! PostgreSQL dies and comes back while requests run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use dunlin_testkit::{Postgres, eventually, raw};

use crate::service::Service;

#[test]
fn a_lost_database_is_503_and_heals_by_itself() {
    let mut database = Postgres::start();
    database.psql("CREATE TABLE t (id bigint PRIMARY KEY, name text); INSERT INTO t SELECT g, 'n' || g FROM generate_series(1, 100) g");
    let service = Service::start(&format!(
        "[database]\nurl = \"{}\"\n[[route]]\npath = \"/t/{{id}}\"\nquery = \"SELECT * FROM t WHERE id = $1\"\nparams = [\"id\"]\nrows = \"one\"\n",
        database.url()
    ));
    eventually("it is there", || service.get("/t/1").status == 200);
    assert_eq!(service.json("/t/1")["name"], "n1");
    let over = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let (addr, over, served) = (service.addr, Arc::clone(&over), Arc::clone(&served));
            thread::spawn(move || {
                let mut seen = [0_usize; 2];
                while !over.load(Ordering::Acquire) {
                    let response = raw::get(addr, &format!("/t/{}", n + 1));
                    match response.status {
                        200 => {
                            assert_eq!(response.text(), format!("{{\"id\":{},\"name\":\"n{}\"}}", n + 1, n + 1));
                            seen[0] += 1;
                            served.fetch_add(usize::from(seen[0] == 1), Ordering::Relaxed);
                        }
                        503 => {
                            assert!(response.header("retry-after").is_some());
                            seen[1] += 1;
                        }
                        other => panic!("{other}: {}", response.text()),
                    }
                }
                seen
            })
        })
        .collect();
    eventually("all are served", || served.load(Ordering::Relaxed) == 8);
    database.stop_hard();
    eventually("it is missed", || service.get("/t/1").status == 503);
    database.restart();
    eventually("it heals", || service.get("/t/1").status == 200);
    over.store(true, Ordering::Release);
    let seen: Vec<_> = clients.into_iter().map(|client| client.join().expect("no other answer")).collect();
    assert!(seen.iter().any(|[_, unavailable]| *unavailable > 0), "{seen:?}");
    assert!(seen.iter().all(|[fine, _]| *fine > 0), "{seen:?}");
}
