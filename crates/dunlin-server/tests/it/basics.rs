//! Well-formed requests over HTTP/1.

use crate::support::{Fixture, config, until};
use dunlin_server::Config;

#[test]
fn a_connection_serves_several_requests() {
    for server in [Fixture::new(), Fixture::shared()] {
        let mut client = server.connect();
        for _ in 0..3 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let answer = client.answer().unwrap();
            assert_eq!((answer.status, answer.text()), (200, "Hello, World!"));
            assert!(answer.field("date").unwrap().ends_with(" GMT"));
            assert_eq!(answer.field("connection"), None);
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Fixture::new();
    let mut client = server.connect();
    client
        .send("GET /wait/50 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned() + &"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(40));
    assert_eq!(client.answer().unwrap().text(), "waited");
    for _ in 0..40 {
        assert_eq!(client.answer().unwrap().text(), "Hello, World!");
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Fixture::new();
    let mut client = server.connect();
    for byte in
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nT: 1\r\n\r\n"
    {
        client.send([*byte]);
    }
    assert_eq!(client.answer().unwrap().text(), "abc");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().unwrap().status, 200);
}

#[test]
fn bodies_have_a_length_or_chunks() {
    let server = Fixture::new();
    let mut client = server.connect();
    let long = "x".repeat(200_000);
    client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n{long}"));
    assert_eq!(client.answer().unwrap().text(), long);
    client.send(format!(
        "POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n30D40\r\n{long}\r\n000\r\n\r\n"
    ));
    assert_eq!(client.answer().unwrap().text(), "200000");
}

#[test]
fn a_response_ahead_of_a_long_body_closes_the_connection() {
    let server = Fixture::new();
    for (head, status) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n", 405),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n", 405),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", 405),
        ("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n", 200),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: x\r\n", 417),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", 204),
    ] {
        let mut client = server.connect();
        client.send(format!("{head}\r\n"));
        let answer = client.answer().unwrap();
        assert_eq!((answer.status, answer.field("connection")), (status, Some("close")), "{head}");
        assert!(client.is_closed(), "{head}");
    }
}

#[test]
fn a_connection_goes_on_behind_an_unread_body() {
    let server = Fixture::new();
    let mut client = server.connect();
    let long = "x".repeat(60_000);
    for (head, body) in [
        ("Content-Length: 3", "abc".to_owned()),
        ("Content-Length: 60000", long.clone()),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n1\r\nd\r\n2\r\nef\r\n1\r\n.\r\n0\r\nT: x\r\n\r\n".to_owned()),
    ] {
        for (target, status) in [("/", 405), ("/ignore", 200)] {
            client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{body}"));
            let answer = client.answer().unwrap();
            assert_eq!((answer.status, answer.field("connection")), (status, None), "{head}");
        }
    }
    // A short body may come later, and in pieces.
    for target in ["/", "/ignore"] {
        client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"));
        assert_eq!(client.answer().unwrap().field("connection"), None);
        let (first, second) = long.split_at(20_000);
        client.send(first);
        client.send(format!("{second}GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.answer().unwrap().text(), "Hello, World!");
    }
}

#[test]
fn a_client_that_has_closed_its_half_is_answered() {
    let server = Fixture::new();
    let get = "GET /wait/200 HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let big = "GET /big/20000000 HTTP/1.1\r\nHost: a\r\n\r\n";
    let old = "GET /wait/100 HTTP/1.0\r\n\r\n";
    for (sent, lengths) in [
        (get.to_owned(), &[6][..]),
        (get.repeat(3), &[6, 6, 6]),
        (format!("{get}{post}"), &[6, 1]),
        (format!("{big}{get}"), &[20_000_000, 6]),
        (format!("{get}GET / HT"), &[6]),
        (old.to_owned(), &[6]),
    ] {
        let mut client = server.connect();
        client.send(&sent);
        client.0.shutdown(std::net::Shutdown::Write).unwrap();
        for length in lengths {
            let answer = client.answer().unwrap_or_else(|| panic!("no answer to {sent}"));
            assert_eq!((answer.status, answer.body.len()), (200, *length), "{sent}");
        }
        assert!(client.is_closed(), "{sent}");
    }
    // A parked connection wakes up.
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().unwrap().status, 200);
    until("the connection is parked", || server.running.stats()[0].parked == 1);
    client.send(get);
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.answer().unwrap().text(), "waited");
    assert!(client.is_closed());
}

#[test]
fn a_truncated_body_is_an_error() {
    let server = Fixture::new();
    for head in ["Content-Length: 9", "Transfer-Encoding: chunked"] {
        let mut client = server.connect();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n5\r\nab"));
        client.0.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(client.answer().is_none_or(|answer| answer.status >= 400), "{head}");
    }
}

#[test]
fn close_is_honoured() {
    let server = Fixture::new();
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive, CLOSE\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request);
        assert_eq!(client.answer().unwrap().text(), "Hello, World!");
        assert!(client.is_closed(), "{request}");
    }
    let mut client = server.connect();
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.answer().unwrap().field("connection"), Some("keep-alive"));
    }
}

#[test]
fn keep_alive_can_be_turned_off() {
    let server = Fixture::with(Config { keep_alive: std::time::Duration::ZERO, ..config() });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().unwrap().field("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn head_is_get_without_content() {
    let server = Fixture::new();
    let mut client = server.connect();
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.answer_to("HEAD").unwrap();
        assert_eq!((answer.status, answer.field("content-length")), (200, Some("13")));
    }
}
