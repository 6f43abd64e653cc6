//! The end of a server.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dunlin_server::Config;

use crate::support::{Fixture, PATIENCE, config, release, stopped, until};

#[test]
fn requests_in_flight_are_answered_and_idle_connections_closed() {
    for (name, server) in [("own", Fixture::new()), ("shared", Fixture::shared())] {
        let mut busy = server.connect();
        busy.send(format!("GET /held/{name} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let mut idle = server.connect();
        idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(idle.answer().unwrap().status, 200);
        let mut silent = server.connect();
        until("three connections, and two requests", || {
            let stats = server.running.stats();
            let (connections, requests) = (stats.iter().map(|of| of.connections), stats.iter().map(|of| of.requests));
            connections.sum::<usize>() == 3 && requests.sum::<u64>() == 2
        });
        server.running.shutdown();
        assert!(idle.is_closed());
        release(name);
        let answer = busy.answer().unwrap();
        assert_eq!((answer.text(), answer.field("connection")), ("released", Some("close")));
        assert!(silent.is_closed());
        let addr = server.addr;
        let outcome = stopped(server.running);
        assert!(outcome.drained && outcome.cut == 0);
        assert!(std::net::TcpStream::connect(addr).is_err());
    }
}

#[test]
fn a_request_that_does_not_end_is_cut_at_the_end_of_the_drain() {
    let server = Fixture::with(Config { drain: Duration::from_millis(300), ..config() });
    let mut client = server.connect();
    client.send("GET /wait/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the request arrives", || server.running.stats()[0].requests > 0);
    let outcome = server.stop();
    assert!(!outcome.drained);
    assert_eq!(outcome.cut, 1);
    assert!(client.is_closed());
}

#[test]
fn abort_cuts_at_once() {
    let server = Fixture::new();
    let mut client = server.connect();
    client.send("GET /wait/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the request arrives", || server.running.stats()[0].requests > 0);
    server.running.shutdown();
    let begun = Instant::now();
    server.running.abort();
    assert_eq!(stopped(server.running).cut, 1);
    assert!(begun.elapsed() < PATIENCE / 2);
    assert!(client.is_closed());
}

#[test]
fn a_lame_duck_still_accepts_connections() {
    let server = Fixture::with(Config { lame_duck: 2 * PATIENCE, ..config() });
    let handle = server.running.handle();
    assert!(!handle.is_stopping());
    handle.shutdown();
    assert!(handle.is_stopping());
    let answer = server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.field("connection")), (200, None));
    handle.abort();
    stopped(server.running);
    // Without an abort it ends after the lame-duck time.
    let server = Fixture::with(Config { lame_duck: Duration::from_millis(300), ..config() });
    let begun = Instant::now();
    assert!(server.stop().drained);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn no_request_is_lost_under_load() {
    let server = Fixture::with(Config { workers: 2, ..config() });
    let stop = AtomicBool::new(false);
    let (addr, served) = (server.addr, AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0;
                    while let Ok(socket) = std::net::TcpStream::connect(addr) {
                        let mut client = crate::support::Client(socket);
                        loop {
                            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                            // The last connections may be refused, but one that was accepted is
                            // answered.
                            let Some(answer) = client.answer() else { break };
                            answered += 1;
                            if answered == 100 {
                                served.fetch_add(1, Ordering::Relaxed);
                            }
                            if answer.field("connection") == Some("close") {
                                assert!(client.is_closed());
                                break;
                            }
                            assert!(
                                answered < 2_000_000 && !stop.load(Ordering::Relaxed),
                                "the server never announced the end of the connection"
                            );
                        }
                    }
                    answered
                })
            })
            .collect();
        until("every client has 100 responses", || served.load(Ordering::Relaxed) == 8);
        let outcome = server.stop();
        stop.store(true, Ordering::Relaxed);
        assert!(outcome.drained);
        assert!(clients.into_iter().all(|client| client.join().unwrap() >= 100));
    });
}
