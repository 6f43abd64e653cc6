//! The log lines about clients that never reach a handler.

use std::fmt::Write as _;
use std::sync::{Mutex, Once};

use dunlin_server::{Config, Tls};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{Fixture, config, until};

/// The lines of all servers of this process.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collect;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Collect {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO && metadata.target().starts_with("dunlin_server")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Begins to collect the lines of this process.
pub fn collect() {
    static COLLECT: Once = Once::new();
    COLLECT.call_once(|| tracing::subscriber::set_global_default(Collect).unwrap());
}

/// Waits for a line with all of `parts`.
#[track_caller]
pub fn wait_for_line(parts: &[&str]) {
    until(&format!("a line with {parts:?}"), || {
        let lines = LINES.lock().unwrap();
        lines.iter().any(|line| parts.iter().all(|part| line.contains(part)))
    });
}

/// Sends `bytes`, and waits for a line with the client's address and all of `parts`.
#[track_caller]
fn check(server: &Fixture, bytes: &[u8], parts: &[&str]) {
    collect();
    let mut client = server.connect();
    let peer = format!("peer={} ", client.0.local_addr().unwrap());
    client.send(bytes);
    wait_for_line(&[&[peer.as_str()], parts].concat());
}

#[test]
fn a_rejected_request_leaves_a_line_with_its_reason() {
    let server = Fixture::new();
    check(&server, b"no request\r\n\r\n", &["status=400", "the request line is malformed"]);
    check(&server, b"GET / HTTP/1.1\r\n\r\n", &["status=400", "Host is missing"]);
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(20_000));
    check(&server, long.as_bytes(), &["status=431", "too large"]);
    check(&server, b"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", &["status=417", "Expectation Failed"]);
}

#[test]
fn a_client_with_too_many_connections_leaves_a_line() {
    let server = Fixture::with(Config { max_connections_per_client: 1, ..config() });
    let _first = server.connect();
    until("the first is there", || server.running.stats()[0].connections == 1);
    check(&server, b"", &["too many"]);
}

#[test]
fn a_failed_handshake_leaves_a_line_and_plain_http_gets_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let tls = Tls::new(dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&tls.pairs[0].key, pair.signing_key.serialize_pem()).unwrap();
    std::fs::write(&tls.pairs[0].certificate, pair.cert.pem()).unwrap();
    let server = Fixture::with(Config { tls: Some(tls), ..config() });
    check(&server, b"\x16\x03\x01\x00\x05hello", &["before its first request", "error="]);
    let answer = server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.field("connection")), (400, Some("close")));
    assert!(answer.text().contains("https"), "{answer:?}");
    check(&server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &["status=400", "this port speaks TLS"]);
}

#[test]
fn an_attack_does_not_fill_the_log() {
    let server = Fixture::new();
    check(&server, b"no request\r\n\r\n", &["status=400"]);
    let peers: Vec<_> = (0..200)
        .map(|_| {
            let mut client = server.connect();
            client.send("no request\r\n\r\n");
            assert_eq!(client.answer().unwrap().status, 400);
            format!("peer={} ", client.0.local_addr().unwrap())
        })
        .collect();
    let lines = LINES.lock().unwrap();
    let logged = peers.iter().filter(|peer| lines.iter().any(|line| line.contains(*peer))).count();
    assert!(logged < 100, "{logged} lines");
}
