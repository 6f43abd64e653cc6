//! The end of a service: nothing under way is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dunlin_testkit::raw::Connection;
use dunlin_testkit::{Origin, eventually};

use crate::service::Service;

#[test]
fn requests_under_way_are_answered() {
    let origin = Origin::start(|_| {
        thread::sleep(Duration::from_millis(800));
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow".to_vec()
    });
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
        let mut service = Service::start(&format!("[[route]]\npath = \"/\"\nproxy = \"{}\"\n", origin.url()));
        let mut connection = Connection::open(service.addr);
        let before = origin.count();
        connection.send_request("GET", "/", &[], b"");
        eventually("the request is under way", || origin.count() > before);
        service.signal(signal);
        let response = connection.read("GET").unwrap();
        assert_eq!(response.text(), "slow");
        assert!(connection.closed());
        assert_eq!(service.exit_code(), Some(0));
    }
}

#[test]
fn other_signals_do_no_harm() {
    let mut service = Service::start("[[route]]\npath = \"/\"\ntext = \"Hello, World!\"\n");
    for signal in [libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH, libc::SIGHUP] {
        service.signal(signal);
        for _ in 0..3 {
            assert_eq!(service.get("/").text(), "Hello, World!", "after signal {signal}");
        }
    }
    eventually("SIGHUP leaves a line", || service.log().contains("SIGHUP"));
    service.signal(libc::SIGTERM);
    assert_eq!(service.exit_code(), Some(0));
}

#[test]
fn a_signal_that_is_repeated_at_once_counts_once() {
    let origin = Origin::start(|_| {
        thread::sleep(Duration::from_millis(500));
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow".to_vec()
    });
    let mut service = Service::start(&format!("[[route]]\npath = \"/\"\nproxy = \"{}\"\n", origin.url()));
    let mut connection = Connection::open(service.addr);
    connection.send_request("GET", "/", &[], b"");
    eventually("the request is under way", || origin.count() > 0);
    for _ in 0..5 {
        service.signal(libc::SIGTERM);
    }
    assert_eq!(connection.read("GET").unwrap().text(), "slow");
    assert_eq!(service.exit_code(), Some(0));
}

#[test]
fn under_load_no_request_is_lost() {
    let mut service = Service::start("[[route]]\npath = \"/\"\ntext = \"Hello, World!\"\n");
    let (answered, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (addr, answered, lost, over) =
                (service.addr, Arc::clone(&answered), Arc::clone(&lost), Arc::clone(&over));
            thread::spawn(move || {
                while !over.load(Ordering::Acquire) && std::net::TcpStream::connect(addr).is_ok() {
                    converse(addr, &answered, &lost);
                }
            })
        })
        .collect();
    eventually("the load is on", || answered.load(Ordering::Relaxed) > 2000);
    service.signal(libc::SIGTERM);
    assert_eq!(service.exit_code(), Some(0));
    over.store(true, Ordering::Release);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(lost.load(Ordering::Relaxed), 0, "of {}", answered.load(Ordering::Relaxed));
}

/// Sends requests on one connection until the service closes it. A request without a first byte of
/// a response was not in flight; one whose response is cut is lost.
fn converse(addr: std::net::SocketAddr, answered: &AtomicUsize, lost: &AtomicUsize) {
    let Ok(socket) = std::net::TcpStream::connect(addr) else { return };
    drop(socket);
    let Some(mut connection) = std::panic::catch_unwind(|| Connection::open(addr)).ok() else { return };
    loop {
        connection.send_request("GET", "/", &[], b"");
        match connection.read_head() {
            Ok(head) => {
                let length = head.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                match connection.read_exact(length) {
                    Ok(body) if head.status == 200 && body == b"Hello, World!" => {
                        answered.fetch_add(1, Ordering::Relaxed)
                    }
                    _ => lost.fetch_add(1, Ordering::Relaxed),
                };
                if head.header("connection") == Some("close") {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

#[test]
fn what_takes_longer_than_the_drain_is_cut() {
    let origin = Origin::start(|_| {
        thread::sleep(Duration::from_secs(30));
        Vec::new()
    });
    let route = format!("[[route]]\npath = \"/\"\nproxy = \"{}\"\n", origin.url());
    let mut service = Service::with("drain = \"500ms\"", &route, |_| ());
    let mut connection = Connection::open(service.addr);
    connection.send_request("GET", "/", &[], b"");
    eventually("the request is under way", || origin.count() == 1);
    service.signal(libc::SIGTERM);
    assert!(service.exit_code().is_some());
    assert!(connection.read("GET").is_err());
}
