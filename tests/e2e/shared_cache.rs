//! Two services with one cache on Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_testkit::{Origin, Redis, eventually, raw};

use crate::service::Service;

/// An origin whose answer is a number, and changes it on POST.
fn origin(value: &Arc<AtomicU64>) -> Origin {
    let value = Arc::clone(value);
    Origin::start(move |request| {
        let value = if request.method == "POST" { value.fetch_add(1, SeqCst) + 1 } else { value.load(SeqCst) };
        let body = value.to_string();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
    })
}

fn start(origin: &Origin, redis: &Redis) -> Service {
    let service = Service::start(&format!(
        "[cache]\nredis = \"{}\"\n\
         [[route]]\npath = \"/{{*rest}}\"\nmethod = \"GET\"\nproxy = \"{url}\"\n\
         cache = {{ age = \"1h\", groups = [\"numbers\"] }}\n\
         [[route]]\npath = \"/{{*rest}}\"\nmethod = \"POST\"\nproxy = \"{url}\"\ninvalidates = [\"numbers\"]\n",
        redis.url(),
        url = origin.url(),
    ));
    connected(&service);
    service
}

fn connected(service: &Service) {
    eventually("it has the shared cache", || {
        ["dunlin_redis_connected", "dunlin_redis_listening"].iter().all(|up| metric(service, up) == 1)
    });
}

fn metric(service: &Service, name: &str) -> u64 {
    let metrics = raw::get(service.admin, "/metrics").text();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect("the metric").parse().expect("a number")
}

#[track_caller]
fn number(service: &Service, target: &str) -> u64 {
    let response = service.get(target);
    assert_eq!(response.status, 200, "{}", response.text());
    response.text().parse().expect("a number")
}

#[test]
fn what_one_keeps_and_invalidates_counts_for_the_other() {
    let value = Arc::new(AtomicU64::new(1));
    let (origin, redis) = (origin(&value), Redis::start());
    let (a, b) = (start(&origin, &redis), start(&origin, &redis));
    // On a busy machine, an answer of the store may come too late, which is a miss.
    let mut keys = (1..).map(|n| format!("/{n}"));
    eventually("what one keeps is a hit of the other", || {
        let (key, kept) = (keys.next().unwrap(), metric(&a, "dunlin_redis_kept_total"));
        let asked = origin.count();
        assert_eq!(number(&a, &key), 1);
        eventually("the server has it", || metric(&a, "dunlin_redis_kept_total") > kept);
        let response = b.get(&key);
        assert_eq!(response.text(), "1");
        let hit = response.header("cache-status").unwrap().contains("hit");
        assert_eq!(origin.count(), asked + if hit { 1 } else { 2 });
        hit
    });
    assert_eq!(number(&a, "/x"), 1);
    // A write by one.
    assert_eq!(a.send("POST", "/x", "{}").text(), "2");
    assert_eq!(number(&a, "/x"), 2);
    eventually("the other knows", || number(&b, "/x") == 2);
    // A purge by the other.
    value.store(3, SeqCst);
    assert_eq!(number(&a, "/x"), 2);
    assert!(raw::request(b.admin, "POST", "/purge?all=true", &[], b"").status < 300);
    assert_eq!(number(&b, "/x"), 3);
    eventually("the first knows", || number(&a, "/x") == 3);
}

#[test]
fn a_server_that_dies_and_comes_back_costs_no_answer() {
    let value = Arc::new(AtomicU64::new(1));
    let (origin, mut redis) = (origin(&value), Redis::start());
    let services = Arc::new([start(&origin, &redis), start(&origin, &redis)]);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|i| {
            let (services, stop) = (Arc::clone(&services), Arc::clone(&stop));
            thread::spawn(move || {
                let (mut count, mut longest) = (0u64, Duration::ZERO);
                while !stop.load(SeqCst) {
                    let begun = Instant::now();
                    number(&services[i % 2], &format!("/{}", count % 50));
                    longest = longest.max(begun.elapsed());
                    count += 1;
                }
                (count, longest)
            })
        })
        .collect();
    let [a, b] = &*services;
    for _ in 0..2 {
        redis.stop_hard();
        let expect: u64 = a.send("POST", "/x", "{}").text().parse().unwrap();
        assert_eq!(number(a, "/x"), expect, "who writes reads it");
        redis.restart();
        connected(a);
        connected(b);
        eventually("the other learns of it", || number(b, "/x") == expect);
    }
    stop.store(true, SeqCst);
    for client in clients {
        let (count, longest) = client.join().expect("no answer was wrong");
        assert!(count > 0 && longest < Duration::from_secs(30), "{count} answers, the longest took {longest:?}");
    }
}
