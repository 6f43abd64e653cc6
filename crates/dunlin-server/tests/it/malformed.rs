//! Requests that violate RFC 9110 or RFC 9112, in the order of the RFCs. Each is answered once. The
//! connection ends if the framing may be wrong.

use dunlin_server::Config;

use crate::support::{Fixture, config};

/// Sends each request and a good one behind it. Checks that `status` comes, and nothing after it.
#[track_caller]
fn refused(cases: &[(u16, &str)]) {
    let server = Fixture::with(Config { max_target: 8192, ..config() });
    for (status, request) in cases {
        let mut client = server.connect();
        client.send(request);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.answer().unwrap_or_else(|| panic!("no answer to {request:?}"));
        assert_eq!(answer.status, *status, "{request:?}");
        assert_eq!(answer.field("connection"), Some("close"), "{request:?}");
        if *status != 200 {
            assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{request:?}");
        }
        assert!(client.is_closed(), "a second answer to {request:?}");
    }
}

/// Sends each request and a good one behind it. Checks that `status` comes, and a response to the
/// good one.
#[track_caller]
fn answered(cases: &[(u16, &str)]) {
    let server = Fixture::new();
    for (status, request) in cases {
        let mut client = server.connect();
        client.send(request);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.answer_to(request.split(' ').next().unwrap()).unwrap();
        assert_eq!(answer.status, *status, "{request:?}: {}", answer.head);
        assert_eq!(client.answer().unwrap_or_else(|| panic!("closed after {request:?}")).text(), "Hello, World!");
    }
}

#[test]
fn rfc9112_2_2_lines_end_with_crlf() {
    answered(&[(200, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), (200, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")]);
    refused(&[
        (400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        (400, "GET / HTTP/1.1\n\n"),
        (400, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n\tX: b\r\nHost: a\r\n\r\n"),
        (400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
}

#[test]
fn rfc9112_2_3_versions() {
    // "A recipient that receives a message with a major version number that it implements and a
    // minor version number higher than what it implements SHOULD process the message as if it was
    // in the highest minor version".
    answered(&[
        (200, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
        (200, "\r\nGET / HTTP/1.9\r\nHost: a\r\n\r\n"),
        (200, "POST /echo HTTP/1.3\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        (200, "POST /echo HTTP/1.7\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"),
    ]);
    refused(&[
        (400, "GET / HTTP/1.2\r\n\r\n"),
        (400, "GET / HTTP/1.20\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.2 \r\nHost: a\r\n\r\n"),
        (400, "GET /a b HTTP/1.2\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.2\nHost: a\r\n\r\n"),
    ]);
    refused(&[
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        (505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
        (505, "GET / HTTP/3.1\r\nHost: a\r\n\r\n"),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, "GET / HTTP/1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
        (400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        (400, "GET /\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTPS/1.1\r\nHost: a\r\n\r\n"),
    ]);
}

#[test]
fn rfc9112_3_request_lines() {
    refused(&[
        (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "\0\0\0\0 / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n"),
    ]);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000));
    let endless = format!("GET /{}", "a".repeat(40_000));
    refused(&[(414, &long), (414, &endless)]);
}

#[test]
fn rfc9112_3_2_forms_of_the_target() {
    answered(&[
        (204, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        (200, "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (200, "GET HTTP://a HTTP/1.1\r\nHost: b\r\n\r\n"),
        (200, "GET https://a:8443/?q HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
    refused(&[
        (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /#fragment HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET http:///path HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET http://a/ HTTP/1.1\r\n\r\n"),
        (400, "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "CONNECT a:99999 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (405, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
        (405, "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
}

#[test]
fn the_absolute_form_replaces_host() {
    let server = Fixture::new();
    let answer = server.send("GET http://b:81/host?q=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.text(), "b:81 /host?q=1");
}

#[test]
fn rfc9112_3_2_host() {
    answered(&[
        (200, "GET / HTTP/1.1\r\nHost: a:80\r\n\r\n"),
        (200, "GET / HTTP/1.1\r\nhOST:   [::1]:8080  \r\n\r\n"),
        (200, "GET / HTTP/1.1\r\nHost: xn--bcher-kva.example.\r\n\r\n"),
        (200, "GET / HTTP/1.1\r\nHost: 192.0.2.1:\r\n\r\n"),
    ]);
    refused(&[
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhost: b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: ###\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a%2\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"),
        (400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    ]);
}

#[test]
fn rfc9112_5_fields() {
    answered(&[
        (200, "GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t \r\nZ:\tv\t\r\n\r\n"),
        (200, "GET / HTTP/1.1\r\nHost: a\r\nX: \u{e4}\r\n\r\n"),
    ]);
    refused(&[
        (400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX\u{e4}: b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\u{1}c\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\u{7f}c\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\nc\r\n\r\n"),
    ]);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100));
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(16 << 10));
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(100 << 10));
    refused(&[(431, &many), (431, &large), (431, &endless)]);
    let most = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(99));
    answered(&[(200, &most)]);
}

#[test]
fn rfc9112_6_lengths_that_are_ambiguous() {
    refused(&[
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nabc"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\nabc"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nabc"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        (
            400,
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        ),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\nabc"),
        (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        (400, "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (501, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (501, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
    ]);
}

#[test]
fn rfc9112_7_1_chunks() {
    answered(&[
        (200, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0003\r\nabc\r\n0\r\n\r\n"),
        (
            200,
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 ; a=b ;c=\"d;e\"\r\nabc\r\n0\r\nX: y\r\n\r\n",
        ),
    ]);
    for body in [
        "x\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3;\r\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "1_0\r\nabc\r\n0\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\n X: y\r\n\r\n",
    ] {
        refused(&[(400, &format!("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"))]);
    }
}

#[test]
fn rfc9110_9_methods() {
    answered(&[
        (501, "ABC / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (501, "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (405, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (405, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (405, "TRACE /echo HTTP/1.1\r\nHost: a\r\n\r\n"),
        (204, "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (501, "ABC /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"),
        (404, "DELETE /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"),
        (200, "ABC /echo HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
}

#[test]
fn rfc9110_10_1_1_expectations() {
    answered(&[
        (417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n"),
        (417, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\nContent-Length: 0\r\n\r\n"),
        (417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue x\r\n\r\n"),
        (200, "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n"),
        (200, "GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n"),
        (200, "GET / HTTP/1.1\r\nHost: a\r\nExpect: , ,\r\n\r\n"),
    ]);
    let server = Fixture::new();
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.answer().unwrap().status, 100);
    client.send("abc");
    assert_eq!(client.answer().unwrap().text(), "abc");
    // No 100 is sent for a handler that does not read the body.
    client.send("POST /ignore HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.answer().unwrap().text(), "ignored");
    // HTTP/1.0 has no expectations (RFC 9110 §10.1.1).
    let answer = server.send("POST /echo HTTP/1.0\r\nExpect: x\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(answer.text(), "abc");
}

#[test]
fn rfc9110_15_5_14_bodies_that_are_too_large() {
    let server = Fixture::with(Config { max_body: 10, ..config() });
    let answer = server.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    assert_eq!((answer.status, answer.field("connection")), (413, Some("close")));
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n");
    assert_eq!(client.answer().unwrap().status, 413);
    let answer = server.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234567890");
    assert_eq!(answer.text(), "1234567890");
}

#[test]
fn a_response_to_head_has_no_content() {
    let server = Fixture::new();
    let mut client = server.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(client.answer_to("HEAD").unwrap().status, 400);
    assert!(client.is_closed());
}

#[test]
fn requests_ahead_of_a_malformed_one_are_answered_first() {
    let server = Fixture::new();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /wait/100 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.answer().unwrap().text(), "Hello, World!");
    assert_eq!(client.answer().unwrap().text(), "waited");
    assert_eq!(client.answer().unwrap().status, 400);
    assert!(client.is_closed());
}
