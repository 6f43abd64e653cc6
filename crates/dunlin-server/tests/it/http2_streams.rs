//! Streams of HTTP/2: heads, bodies and windows.

use std::time::Duration;

use bytes::Bytes;
use dunlin_server::Config;
use h2::client::SendRequest;
use http::Request;

use crate::http2::{client, get, h2c, run, send};
use crate::support::Fixture;

/// A client whose windows are empty.
async fn shut(server: &Fixture) -> (SendRequest<Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let socket = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let (client, connection) = h2::client::Builder::new().initial_window_size(0).handshake(socket).await.unwrap();
    (client.ready().await.unwrap(), tokio::spawn(connection))
}

#[test]
fn a_response_in_memory_has_a_deadline_if_the_client_reads_nothing() {
    let server = Fixture::with(Config { write_timeout: Duration::from_millis(300), ..h2c() });
    run(async {
        for uri in ["http://a/", "http://a/big/50000000"] {
            let (mut client, connection) = shut(&server).await;
            let (response, _) = client.send_request(get(uri), true).unwrap();
            let mut body = response.await.unwrap().into_body();
            // It is the stream's end, or that of the connection that has no other.
            assert!(body.data().await.is_none_or(|data| data.is_err()), "{uri}");
            drop(client);
            let _ = connection.await.unwrap();
        }
    });
}

#[test]
fn a_slow_client_that_keeps_reading_gets_all_of_a_response() {
    let server = Fixture::with(Config { write_timeout: Duration::from_millis(300), ..h2c() });
    run(async {
        let (mut client, _connection) = client(&server).await;
        let (response, _) = client.send_request(get("http://a/big/300000"), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let mut got = 0;
        while let Some(data) = body.data().await {
            let length = data.unwrap().len();
            got += length;
            tokio::time::sleep(Duration::from_millis(20)).await;
            body.flow_control().release_capacity(length).unwrap();
        }
        assert_eq!(got, 300_000);
    });
}

#[test]
fn a_100_is_sent_only_if_the_handler_reads_the_body() {
    let server = Fixture::with(h2c());
    run(async {
        let (mut client, _connection) = client(&server).await;
        let post = |uri: &str| Request::post(uri).header("expect", "100-continue").body(()).unwrap();
        let (mut response, mut stream) = client.send_request(post("http://a/echo"), false).unwrap();
        let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!(interim.status(), 100);
        stream.send_data(Bytes::from_static(b"abc"), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "abc");
        // This handler does not read the body.
        let (mut response, _stream) = client.send_request(post("http://a/ignore"), false).unwrap();
        assert!(std::future::poll_fn(|cx| response.poll_informational(cx)).await.is_none());
        assert_eq!(response.await.unwrap().status(), 200);
    });
}

#[test]
fn a_body_that_the_client_resets_is_an_error() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let routes = dunlin_server::Routes::new().post("/", move |request: Request<dunlin_http::Body>| {
        let sender = sender.clone();
        async move {
            let _ = sender.send(request.into_body().collect(1 << 20).await.map_err(|error| error.to_string()));
            "done"
        }
    });
    let server = dunlin_server::Server::bind(h2c()).unwrap();
    let routes = routes.build().unwrap();
    let running = server.start(move |_| std::future::ready(Ok(routes.clone()))).unwrap();
    let addr = running.local_addrs()[0].as_tcp().unwrap();
    run(async {
        for (before, reason) in [h2::Reason::CANCEL, h2::Reason::NO_ERROR].into_iter().enumerate() {
            let socket = tokio::net::TcpStream::connect(addr).await.unwrap();
            let (client, connection) = h2::client::handshake(socket).await.unwrap();
            tokio::spawn(connection);
            let mut client: SendRequest<Bytes> = client.ready().await.unwrap();
            let post = Request::post("http://a/").body(()).unwrap();
            let (response, mut stream) = client.send_request(post, false).unwrap();
            stream.send_data(Bytes::from_static(b"DELETE FROM a"), false).unwrap();
            while running.stats()[0].requests == before as u64 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            stream.send_reset(reason);
            assert!(response.await.is_err());
        }
    });
    // The handler may be dropped before it sees the end. It never sees a complete body.
    running.shutdown();
    crate::support::stopped(running);
    assert!(receiver.try_iter().all(|body| body.is_err()));
}

#[test]
fn split_cookies_are_joined() {
    let server = Fixture::with(h2c());
    run(async {
        let (mut client, _connection) = client(&server).await;
        let request = Request::get("http://a/cookies").header("cookie", "a=1").header("cookie", "b=2; c=3");
        let request = request.header("cookie", "d=4").body(()).unwrap();
        assert_eq!(send(&mut client, request, b"").await.unwrap(), (200, "a=1; b=2; c=3; d=4".into()));
    });
}

#[test]
fn heads_follow_http2() {
    let server = Fixture::with(h2c());
    run(async {
        let (mut client, _connection) = client(&server).await;
        let mut ask = async |method: &str, uri: &str| {
            let request = Request::builder().method(method).uri(uri).body(()).unwrap();
            let response = client.send_request(request, true).unwrap().0.await.unwrap();
            let (parts, mut body) = response.into_parts();
            let mut length = 0;
            while let Some(data) = body.data().await {
                length += data.unwrap().len();
            }
            (parts, length)
        };
        let (parts, length) = ask("HEAD", "http://a/big/1000").await;
        assert_eq!((parts.headers["content-length"].as_bytes(), length), (b"1000".as_slice(), 0));
        assert!(parts.headers.contains_key("date"));
        let (parts, length) = ask("GET", "http://a/hops").await;
        assert_eq!((parts.status.as_u16(), length), (200, 4));
        for name in ["connection", "x-hop", "keep-alive", "transfer-encoding", "upgrade"] {
            assert!(!parts.headers.contains_key(name), "{name}");
        }
        assert_eq!(parts.headers["content-length"], "4");
        let (parts, length) = ask("GET", "http://a/status/204").await;
        assert_eq!((parts.status.as_u16(), parts.headers.contains_key("content-length"), length), (204, false, 0));
        let (parts, _) = ask("GET", "http://a/status/103").await;
        assert_eq!(parts.status, 500);
        let twice = Request::post("http://a/length").header("content-length", "3").header("content-length", "3");
        let twice = client.send_request(twice.body(()).unwrap(), false).unwrap().0.await.unwrap();
        assert_eq!(twice.status(), 400);
    });
}

#[test]
fn a_client_may_finish_its_request_behind_an_early_response() {
    let server = Fixture::with(Config { max_body: 100_000, ..h2c() });
    run(async {
        let (mut client, _connection) = client(&server).await;
        let long = || Request::post("http://a/echo").header("content-length", "300000").body(()).unwrap();
        let ignored = || Request::post("http://a/ignore").body(()).unwrap();
        for (request, status) in [(ignored(), 200), (long(), 413)] {
            let (response, mut stream) = client.send_request(request, false).unwrap();
            let response = response.await.unwrap();
            assert_eq!(response.status(), status);
            let mut body = response.into_body();
            while let Some(data) = body.data().await {
                data.unwrap();
            }
            // RFC 9113 §8.1: the rest of the request is no error. It is discarded, and the client
            // is asked to stop with RST_STREAM and NO_ERROR.
            stream.send_data(Bytes::from_static(&[b'x'; 60_000]), false).unwrap();
            let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
            assert_eq!(reset, h2::Reason::NO_ERROR);
        }
        let (response, mut stream) = client.send_request(long(), false).unwrap();
        assert_eq!(response.await.unwrap().status(), 413);
        stream.send_data(vec![b'x'; 300_000].into(), true).unwrap();
        assert_eq!(send(&mut client, get("http://a/"), b"").await.unwrap().0, 200);
    });
}

#[test]
fn a_malformed_body_without_a_reader_resets_the_stream() {
    let server = Fixture::with(h2c());
    run(async {
        for _ in 0..20 {
            let (mut client, _connection) = client(&server).await;
            let post = Request::post("http://a/ignore").header("content-length", "1").body(()).unwrap();
            let (response, mut stream) = client.send_request(post, false).unwrap();
            // RFC 9113 §8.1.1: four bytes are not one.
            stream.send_data(Bytes::from_static(b"test"), true).unwrap();
            let reset = response.await.unwrap_err();
            assert_eq!(reset.reason(), Some(h2::Reason::PROTOCOL_ERROR));
        }
    });
}
