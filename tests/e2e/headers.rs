//! The responses to malformed requests (RFC 9110, RFC 9112).

use dunlin_testkit::raw::Connection;

use crate::service::Service;

#[track_caller]
fn check(service: &Service, request: &str, expect: u16) {
    let mut connection = Connection::open(service.addr);
    connection.send(request);
    let response = connection.read("GET").unwrap_or_else(|error| panic!("{request:?}: {error}"));
    assert_eq!(response.status, expect, "{request:?}: {}", response.text());
}

#[test]
fn malformed_requests_are_refused() {
    let service = Service::start("[[route]]\npath = \"/\"\nmethod = [\"GET\", \"POST\"]\ntext = \"fine\"\n");
    let check = |request: &str, expect| check(&service, request, expect);
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200);
    // RFC 9112 §3.2: a request without Host, with two, or with a malformed one.
    check("GET / HTTP/1.1\r\n\r\n", 400);
    check("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    check("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
    // RFC 9112 §5.1: no whitespace before the colon. §5.2: no line folding.
    check("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400);
    check("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400);
    // RFC 9112 §6.1 and §6.3: framing that two readers could read in two ways.
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400);
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400);
    check("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400);
    // RFC 9110 §5.5: NUL in a field.
    check("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400);
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let route = "[[route]]\npath = \"/\"\nmethod = \"POST\"\nproxy = \"http://127.0.0.1:9\"\n";
    let service = Service::with("max_body = \"1KiB\"", route, |_| ());
    check(&service, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n", 413);
    let big = "x".repeat(1025);
    let chunked = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n{big}\r\n0\r\n\r\n");
    let mut connection = Connection::open(service.addr);
    connection.send(chunked);
    // The upstream cannot be reached either, which may be the response instead.
    assert!(matches!(connection.read("POST").unwrap().status, 413 | 502));
}
