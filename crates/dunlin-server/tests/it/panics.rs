//! A handler that panics costs its own connection, and no other.

use dunlin_server::Config;

use crate::support::{Fixture, config};

#[test]
fn a_panic_is_answered_500_and_the_server_goes_on() {
    for server in [Fixture::new(), Fixture::shared()] {
        let mut other = server.connect();
        other.send("GET /wait/300 HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer().unwrap().text(), "Hello, World!");
        let answer = client.answer().unwrap();
        assert_eq!((answer.status, answer.field("connection")), (500, Some("close")));
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
        assert!(!answer.text().contains("as it was asked to"));
        assert!(client.is_closed());
        assert_eq!(other.answer().unwrap().text(), "waited");
        assert_eq!(server.running.stats().iter().map(|stats| stats.panicked).sum::<u64>(), 1);
        assert!(server.stop().drained);
    }
}

#[test]
fn a_body_that_panics_is_not_complete() {
    let server = Fixture::new();
    let mut client = server.connect();
    client.send("GET /panic/later HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut all = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.0, &mut all);
    assert!(!all.ends_with(b"0\r\n\r\n"));
    assert_eq!(server.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status, 200);
    assert!(server.stop().drained);
}

#[test]
fn a_panic_ends_its_stream_and_not_the_connection() {
    let server = Fixture::with(Config { h2c: true, ..config() });
    crate::http2::run(async {
        let (mut client, _connection) = crate::http2::client(&server).await;
        let get = |uri: &str| http::Request::get(uri).body(()).unwrap();
        let (slow, _) = client.send_request(get("http://a/wait/300"), true).unwrap();
        assert_eq!(crate::http2::send(&mut client, get("http://a/panic"), b"").await.unwrap().0, 500);
        assert_eq!(slow.await.unwrap().status(), 200);
    });
    assert_eq!(server.running.stats()[0].panicked, 1);
}
