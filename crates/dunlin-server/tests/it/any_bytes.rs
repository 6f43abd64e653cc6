//! Arbitrary bytes: no panic, no hang, no more responses than requests, and the server goes on.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::LazyLock;
use std::time::Duration;

use dunlin_server::Config;
use proptest::prelude::*;

use crate::support::{Fixture, config};

/// A configuration whose deadlines do not matter here.
const LONG: Duration = Duration::from_secs(600);

static SERVER: LazyLock<Fixture> = LazyLock::new(|| {
    Fixture::with(Config { header_timeout: LONG, first_byte_timeout: LONG, body_timeout: LONG, ..config() })
});

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop_oneof![
        4 => Just("GET / HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        1 => Just("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        2 => Just("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".into()),
        2 => Just("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde".into()),
        1 => Just("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n".into()),
        1 => Just("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".into()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_has_at_most_one_response(pieces in pieces(), half_close in any::<bool>()) {
        let mut client = SERVER.connect();
        for piece in &pieces {
            let _ = client.0.write_all(piece);
        }
        if half_close {
            let _ = client.0.shutdown(Shutdown::Write);
        }
        let mut all = Vec::new();
        client.0.set_read_timeout(Some(Duration::from_millis(if half_close { 60_000 } else { 50 }))).unwrap();
        let _ = client.0.read_to_end(&mut all);
        let answers = all.windows(9).filter(|bytes| *bytes == b"HTTP/1.1 ").count();
        let interim = all.windows(12).filter(|bytes| *bytes == b"HTTP/1.1 100").count();
        // Each piece is at most one request. A malformed one may be answered once, at the end.
        prop_assert!(answers - interim <= pieces.len() + 1, "{}", String::from_utf8_lossy(&all));
        prop_assert_eq!(SERVER.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status, 200);
    }
}
