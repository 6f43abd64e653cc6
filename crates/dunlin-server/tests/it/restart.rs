//! Restarts without a lost request.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dunlin_server::{Addr, Config, Running, Server};

use crate::support::{Client, config, routes, stopped};

fn start(addr: Addr, handover: &Path) -> Running {
    let config = Config { listen: vec![addr.into()], workers: 2, handover: Some(handover.to_owned()), ..config() };
    Server::bind(config).unwrap().start(|_| async { Ok(routes().build()?) }).unwrap()
}

#[test]
fn ten_restarts_under_load_lose_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("handover.sock");
    let mut server = start("127.0.0.1:0".parse().unwrap(), &path);
    let addr = server.local_addrs()[0].as_tcp().unwrap();
    let (over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let request = |client: &mut Client, connection: &str| {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{connection}\r\n"));
        let answer = client.answer().expect("an answer to every request");
        assert_eq!(answer.text(), "Hello, World!");
        answered.fetch_add(1, Ordering::Relaxed);
        answer.field("connection") == Some("close")
    };
    std::thread::scope(|scope| {
        for kept in [true, true, false, false] {
            let (over, request) = (&over, &request);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let mut client = Client::connect(addr);
                    if kept {
                        while !request(&mut client, "") && !over.load(Ordering::Relaxed) {}
                    } else {
                        request(&mut client, "Connection: close\r\n");
                    }
                }
            });
        }
        for _ in 0..10 {
            let before = answered.load(Ordering::Relaxed);
            let next = start(Addr::Tcp(addr), &path);
            let old = std::mem::replace(&mut server, next);
            assert!(stopped(old).drained);
            while answered.load(Ordering::Relaxed) < before + 100 {
                std::thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    server.shutdown();
    assert!(stopped(server).drained);
    assert!(std::net::TcpStream::connect(addr).is_err());
}
