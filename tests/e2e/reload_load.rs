//! Reloads under load: no request fails, and nothing of the earlier configurations stays.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dunlin_testkit::{Origin, eventually, raw};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::reload::{ask, take};
use crate::service::{Service, database_at};

const PATHS: [&str; 5] = ["/text", "/files/a.txt", "/proxied", "/stored", "/row"];

/// Asks for each path in turn on one connection, until the test ends.
fn over_http1(addr: SocketAddr, stop: &AtomicBool, answers: &AtomicU64) {
    let mut connection = raw::Connection::open(addr);
    while !stop.load(Ordering::Acquire) {
        for path in PATHS {
            let response = ask(&mut connection, path);
            assert_eq!(response.status, 200, "{path}: {}", response.text());
            assert_ne!(response.header("connection"), Some("close"), "{path}");
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The same on one connection of HTTP/2.
fn over_http2(addr: SocketAddr, stop: &AtomicBool, answers: &AtomicU64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(addr).await.unwrap();
        let executor = TokioExecutor::new();
        let handshake = hyper::client::conn::http2::handshake(executor, TokioIo::new(socket)).await;
        let (mut sender, connection) = handshake.unwrap();
        let driver = tokio::spawn(connection);
        while !stop.load(Ordering::Acquire) {
            for path in PATHS {
                let request = http::Request::get(format!("http://{addr}{path}")).body(Empty::<bytes::Bytes>::new());
                let response = sender.send_request(request.unwrap()).await.unwrap();
                assert_eq!(response.status(), 200, "{path}");
                response.into_body().collect().await.unwrap();
                answers.fetch_add(1, Ordering::Relaxed);
            }
        }
        assert!(!driver.is_finished(), "the connection was kept");
    });
}

#[test]
fn a_hundred_reloads_lose_nothing_and_leave_nothing() {
    let origin = Origin::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    let origin_at = origin.addr();
    let database = database_at(&crate::database().url());
    // Every second configuration has other settings everywhere.
    let config = |number: u32| {
        let (odd, even) = (!number.is_multiple_of(2), number.is_multiple_of(2));
        let mut all = format!(
            "{database}shared = 2\n\
             [upstream.app]\nservers = [\"http://{origin_at}\"]\nslow_start = \"{}s\"\n\
             health = {{ path = \"/\", interval = \"50ms\" }}\n\
             [auth.keys]\nkind = \"key\"\nkeys = \"keys\"\nrealm = \"{number}\"\n\
             [[route]]\npath = \"/text\"\ntext = \"{}\"\n\
             [[route]]\npath = \"/files/{{*path}}\"\nfiles = \"files\"\nlisting = {odd}\n\
             [[route]]\npath = \"/proxied\"\nproxy = \"http://app/\"\nforwarded = {even}\n\
             [[route]]\npath = \"/stored\"\nproxy = \"http://{origin_at}\"\ncache = \"{}m\"\n\
             [[route]]\npath = \"/row\"\nquery = \"SELECT {number} AS n\"\n\
             [[route]]\npath = \"/live\"\nquery = \"SELECT 1 AS n\"\nlive = {{ groups = [\"g{number}\"] }}\n\
             [[route]]\npath = \"/keys\"\ntext = \"in\"\nauth = \"keys\"\n\
             rate_limit = {{ requests = {}, per = \"1m\" }}\n",
            number % 2,
            "x".repeat(number as usize),
            1 + number % 2,
            1 + number,
        );
        for route in 0..20 {
            all += &format!("[[route]]\npath = \"/n{number}/{route}\"\nfiles = \"files\"\n")
                .replace("\"\nfiles", "/{*path}\"\nfiles");
        }
        all
    };
    let service = Service::with("h2c = true", &config(0), |folder| {
        folder.write("files/a.txt", "a file");
        folder.write("keys", format!("a:{}\n", "0".repeat(64)));
    });
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    let figures = || (service.descriptors(), service.threads(), service.memory("VmRSS"));
    std::thread::scope(|scope| {
        let stops = Stop(&stop);
        for _ in 0..2 {
            scope.spawn(|| over_http1(service.addr, &stop, &answers));
            scope.spawn(|| over_http2(service.addr, &stop, &answers));
        }
        let mut early = (0, 0, 0);
        for number in 1..=100 {
            let before = answers.load(Ordering::Relaxed);
            take(&service, &config(number));
            eventually("requests go on", || answers.load(Ordering::Relaxed) > before + 20);
            if (18..=20).contains(&number) {
                let (descriptors, threads, memory) = figures();
                early = (early.0.max(descriptors), early.1.max(threads), early.2.max(memory));
            }
        }
        // Requests that are under way hold the parts before for a moment.
        let mut late = figures();
        eventually(&format!("nothing stays: {early:?} after 20 reloads, {late:?} after 100"), || {
            late = figures();
            late.0 <= early.0 + 10 && late.1 <= early.1 + 2 && late.2 <= early.2 + (8 << 20)
        });
        drop(stops);
    });
    let status: serde_json::Value = serde_json::from_slice(&raw::get(service.admin, "/status.json").body).unwrap();
    assert_eq!(status["reload"]["succeeded"], 100);
    assert!(status["database"]["open"].as_u64() <= status["database"]["budget"].as_u64());
}

/// Stops the clients at the end, or when the test fails.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
