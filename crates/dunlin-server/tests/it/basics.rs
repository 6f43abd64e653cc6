//! Requests that are as they should be.

use crate::support::{Fixture, config};
use dunlin_server::Config;

#[test]
fn a_connection_answers_one_request_after_the_other() {
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
fn requests_sent_in_one_go_are_answered_in_order() {
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
fn bodies_come_with_a_length_or_in_chunks() {
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
fn keep_alive_can_be_switched_off() {
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
