//! Malformed requests over HTTP/2 (RFC 9113 §8.1.1), as raw frames.

use std::io::Read;

use crate::http2::h2c;
use crate::support::Fixture;

/// The server's reaction to stream 1, while stream 3 has a good request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Stream 1 was reset with this code, and stream 3 answered.
    Reset(u8),
    /// Both streams were answered.
    Answered,
    /// The connection ended with this code (RFC 9113 §6.8).
    GoAway(u8),
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET http://a/`, by HPACK's static table and a literal.
const GET: &[u8] = b"\x82\x86\x84\x01\x01a";
/// `POST http://a/length`.
const POST: &[u8] = b"\x83\x86\x04\x07/length\x01\x01a";

/// A literal field without indexing (RFC 7541 §6.2.2).
fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let len = |bytes: &[u8]| vec![u8::try_from(bytes.len()).unwrap()];
    [vec![0], len(name.as_bytes()), name.into(), len(value), value.to_vec()].concat()
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Sends the frames of stream 1, then a good request, and reads until both have an outcome.
fn outcome(stream_1: &[Vec<u8>]) -> Outcome {
    let server = Fixture::with(h2c());
    let mut client = server.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    client.send(stream_1.concat());
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, GET));
    let (mut first, mut is_3_answered) = (None, false);
    loop {
        let mut head = [0; 9];
        client.0.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        client.0.read_exact(&mut payload).unwrap();
        match (head[3], head[8]) {
            (GOAWAY, _) => return Outcome::GoAway(payload[7]),
            (RST_STREAM, 1) => first = Some(Outcome::Reset(payload[3])),
            (HEADERS, 1) => first = first.or(Some(Outcome::Answered)),
            (HEADERS, 3) => is_3_answered = true,
            _ => {}
        }
        if is_3_answered && let Some(first) = first.take() {
            return first;
        }
    }
}

/// The outcome of a GET with one more field.
fn outcome_of_field(name: &str, value: &[u8]) -> Outcome {
    outcome(&[frame(HEADERS, END_HEADERS | END_STREAM, 1, &[GET, &field(name, value)].concat())])
}

/// The outcome of a POST with these trailers.
fn outcome_of_trailers(trailers: &[u8]) -> Outcome {
    outcome(&[
        frame(HEADERS, END_HEADERS, 1, POST),
        frame(DATA, 0, 1, b"abc"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers),
    ])
}

#[test]
fn a_connection_specific_field_resets_its_stream() {
    for (name, value) in [
        ("connection", "x"),
        ("keep-alive", "1"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("te", "gzip"),
    ] {
        assert_eq!(outcome_of_field(name, value.as_bytes()), Outcome::Reset(1), "{name}");
    }
    assert_eq!(outcome_of_field("te", b"trailers"), Outcome::Answered);
    assert_eq!(outcome_of_trailers(&field("connection", b"x")), Outcome::Reset(1));
}

#[test]
fn a_malformed_set_of_pseudo_fields_resets_its_stream() {
    let request = |block: &[u8]| outcome(&[frame(HEADERS, END_HEADERS | END_STREAM, 1, block)]);
    for (what, block) in [
        ("no method", &b"\x86\x84\x01\x01a"[..]),
        ("no scheme", b"\x82\x84\x01\x01a"),
        ("two methods", b"\x82\x83\x86\x84\x01\x01a"),
        (":status", b"\x82\x86\x84\x01\x01a\x88"),
        ("an empty path", b"\x82\x86\x04\0\x01\x01a"),
    ] {
        assert_eq!(request(block), Outcome::Reset(1), "{what}");
    }
    assert_eq!(request(&[&field("x-a", b"b"), GET].concat()), Outcome::Reset(1));
    assert_eq!(outcome_of_trailers(&[&field("x-a", b"b")[..], b"\x82"].concat()), Outcome::Reset(1));
}

/// The departures of h2, which a later version may end: see
/// `docs/decisions/0021-malformed-fields-over-http2.md`.
#[test]
fn a_field_that_h2_cannot_decode_ends_the_connection() {
    assert_eq!(outcome_of_field("x-a", b"b"), Outcome::Answered);
    assert_eq!(outcome_of_trailers(&field("x-a", b"b")), Outcome::Answered);
    for name in ["X-A", "x a", "x\u{e4}", ":unknown"] {
        assert_eq!(outcome_of_field(name, b"b"), Outcome::GoAway(1), "{name}");
    }
    for value in [&b"a\0b"[..], b"a\rb", b"a\nb", b"a\x7fb"] {
        assert_eq!(outcome_of_field("x-a", value), Outcome::GoAway(1), "{value:?}");
    }
    assert_eq!(outcome_of_trailers(&field("X-A", b"b")), Outcome::GoAway(1));
    // Pseudo-fields before all other fields of a trailer section are dropped.
    assert_eq!(outcome_of_trailers(b"\x82"), Outcome::Answered);
}
