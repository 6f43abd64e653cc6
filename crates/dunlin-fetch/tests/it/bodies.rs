//! Bodies in both directions: streams, lengths, trailers, incomplete bodies.

use std::time::Duration;

use bytes::Bytes;
use dunlin_fetch::{Client, Config, Proxy, ProxyConfig};
use dunlin_http::{Body, Limited};
use http::Request;
use http_body_util::StreamBody;
use tower_service::Service as _;

use crate::support::{Origin, RawConnection, client, content, echo, exchange, get, lines, proxy, proxy_with};

/// An origin that reads one request up to `end`, and responds with all of it.
async fn mirror(end: &'static str) -> Origin {
    Origin::scripted(move |_, mut connection| async move {
        if let Some(request) = connection.until(end).await {
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{request}", request.len())).await;
        }
    })
    .await
}

/// The request that the upstream receives.
async fn received(fields: &str, body: &str, end: &'static str) -> String {
    let config = ProxyConfig { x_forwarded: false, via: None, ..ProxyConfig::default() };
    let front = proxy_with(client(Config::default()), &mirror(end).await.uri("/"), config).await;
    let (method, fields) = fields.split_once(' ').unwrap();
    let response =
        exchange(front, &format!("{method} / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n{fields}\r\n{body}")).await;
    content(&response).to_owned()
}

#[tokio::test]
async fn a_request_keeps_its_framing() {
    let request = received("POST content-length: 5\r\n", "hello", "hello").await;
    assert!(lines(&request).contains(&"content-length: 5") && !request.contains("transfer-encoding"), "{request}");
    for method in ["POST", "GET", "DELETE", "FOO"] {
        let request =
            received(&format!("{method} transfer-encoding: chunked\r\n"), "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n").await;
        assert!(lines(&request).contains(&"transfer-encoding: chunked"), "{request}");
        assert_eq!(content(&request), "5\r\nhello\r\n0\r\n\r\n");
    }
    let request = received("POST content-length: 0\r\n", "", "\r\n\r\n").await;
    assert!(lines(&request).contains(&"content-length: 0"), "{request}");
    let request = received("GET x: y\r\n", "", "\r\n\r\n").await;
    assert!(!request.contains("content-length") && !request.contains("transfer-encoding"), "{request}");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let body = "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
    let request = received("POST transfer-encoding: chunked\r\ntrailer: x-sum\r\n", body, "x-sum: 1\r\n\r\n").await;
    assert_eq!(content(&request), body);

    let response =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n";
    let front = proxy(&Origin::responding(response).await).await;
    let response = exchange(front, "GET / HTTP/1.1\r\nhost: f\r\nte: trailers\r\nconnection: te, close\r\n\r\n").await;
    assert!(response.contains("trailer: x-sum\r\n"), "{response}");
    assert!(response.ends_with("2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn responses_keep_their_framing() {
    let with_length = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let response = get(proxy(&Origin::responding(with_length).await).await, "/").await;
    assert!(response.contains("content-length: 2\r\n") && response.ends_with("\r\n\r\nok"), "{response}");

    let until_close = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\n\r\nok").await;
    });
    let response = get(proxy(&until_close.await).await, "/").await;
    assert!(
        response.contains("transfer-encoding: chunked") && response.ends_with("2\r\nok\r\n0\r\n\r\n"),
        "{response}"
    );

    let head = Origin::responding("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\netag: \"x\"\r\n\r\n").await;
    let front = proxy(&head).await;
    for _ in 0..2 {
        let response = exchange(front, "HEAD / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n").await;
        assert!(response.contains("content-length: 1234\r\n") && response.ends_with("\r\n\r\n"), "{response}");
    }
    assert_eq!(head.connections(), 1);
}

#[tokio::test]
async fn interim_responses_are_not_final() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
                   HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let response = get(proxy(&Origin::responding(interim).await).await, "/").await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && !response.contains("link"), "{response}");
    assert!(response.ends_with("\r\n\r\nok"), "{response}");
}

#[tokio::test]
async fn an_incomplete_response_stays_incomplete() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n5\r\nx",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nnonsense\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
    ] {
        let origin = Origin::scripted(move |_, mut connection| async move {
            connection.head().await;
            connection.send(response).await;
        })
        .await;
        let got = get(proxy(&origin).await, "/").await;
        if got.starts_with("HTTP/1.1 200 ") {
            let complete = if got.contains("chunked") { got.ends_with("0\r\n\r\n") } else { content(&got).len() == 10 };
            assert!(!complete, "{response:?} gave {got:?}");
        } else {
            assert!(got.starts_with("HTTP/1.1 502 ") || got.is_empty(), "{response:?} gave {got:?}");
        }
    }
}

#[tokio::test]
async fn large_streams_pass_both_ways_at_once() {
    const SIZE: usize = 32 << 20;
    // An origin that sends each chunk back at once.
    let origin = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n")).await;
        let mut left = SIZE;
        while left > 0 {
            let chunk = connection.exactly(left.min(1 << 16)).await;
            left -= chunk.len();
            connection.send(&chunk).await;
        }
    })
    .await;
    let front = proxy(&origin).await;
    let (reader, mut writer) = RawConnection::connect(front).await.stream.into_split();
    let upload = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let head = format!("POST / HTTP/1.1\r\nhost: f\r\nconnection: close\r\ncontent-length: {SIZE}\r\n\r\n");
        writer.write_all(head.as_bytes()).await.unwrap();
        for number in 0..SIZE / 4096 {
            writer.write_all(&[number as u8; 4096]).await.unwrap();
        }
        writer
    });
    let mut all = Vec::with_capacity(SIZE + 1000);
    let mut reader = reader;
    tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut all).await.unwrap();
    upload.await.unwrap();
    let start = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(all.len() - start, SIZE);
    assert!(
        all[start..].chunks(4096).enumerate().all(|(number, chunk)| chunk.iter().all(|&byte| byte == number as u8))
    );
}

#[tokio::test]
async fn an_upstream_is_read_no_faster_than_the_client_reads() {
    // More than all buffers between origin and client can hold.
    const SIZE: usize = 256 << 20;
    let (sent, mut progress) = tokio::sync::watch::channel(0_usize);
    let origin = Origin::scripted(move |_, mut connection| {
        let sent = sent.clone();
        async move {
            connection.head().await;
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n")).await;
            for _ in 0..SIZE >> 20 {
                connection.send(vec![b'x'; 1 << 20]).await;
                sent.send_modify(|sent| *sent += 1 << 20);
            }
        }
    })
    .await;
    let front = proxy(&origin).await;
    let mut connection = RawConnection::connect(front).await;
    connection.send("GET / HTTP/1.1\r\nhost: f\r\n\r\n").await;
    connection.head().await;
    // Waits until no more bytes move.
    while tokio::time::timeout(Duration::from_millis(300), progress.changed()).await.is_ok() {}
    let stopped_at = *progress.borrow();
    assert!(stopped_at < SIZE / 2, "{stopped_at} bytes are in buffers");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let origin = Origin::scripted(|_, mut connection| async move { drop(connection.rest().await) }).await;
    let mut proxy = Proxy::new(client(Config::default()), &origin.uri("/"), ProxyConfig::default()).unwrap();
    let chunks =
        (0..10).map(|_| Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(b"0123456789"))));
    let body = Body::new(StreamBody::new(futures_util::stream::iter(chunks)));
    let request = Request::post("/").body(Body::new(Limited::new(body, 50))).unwrap();
    assert_eq!(proxy.call(request).await.unwrap().status(), 413);
}

#[tokio::test]
async fn an_early_response_does_not_wait_for_the_body() {
    let origin = Origin::responding("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    let front = proxy(&origin).await;
    let mut connection = RawConnection::connect(front).await;
    connection.send("POST / HTTP/1.1\r\nhost: f\r\ncontent-length: 1000000\r\n\r\nx").await;
    let head = connection.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!(connection.exactly(2).await, b"no");
}

#[tokio::test]
async fn the_upstream_decides_on_expectations() {
    // The upstream refuses, and the client never sends its body.
    let refusing = Origin::responding("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n").await;
    let mut connection = RawConnection::connect(proxy(&refusing).await).await;
    let request = "PUT / HTTP/1.1\r\nhost: f\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    connection.send(request).await;
    assert!(connection.head().await.unwrap().starts_with("HTTP/1.1 417 "));

    // The upstream sends 100 (Continue), then responds.
    let agreeing = Origin::scripted(|_, mut connection| async move {
        let head = connection.head().await.unwrap();
        assert!(head.contains("expect: 100-continue\r\n"));
        connection.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        let body = connection.exactly(5).await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
        connection.send(body).await;
    })
    .await;
    let config = ProxyConfig { expect_timeout: Duration::from_secs(60), ..ProxyConfig::default() };
    let front = proxy_with(client(Config::default()), &agreeing.uri("/"), config).await;
    let mut connection = RawConnection::connect(front).await;
    connection.send(request).await;
    assert!(connection.head().await.unwrap().starts_with("HTTP/1.1 100 "));
    connection.send("hello").await;
    assert!(connection.head().await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(connection.exactly(5).await, b"hello");

    // The upstream sends no 100, like a server of HTTP/1.0. After a time, the body is sent.
    let silent = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection.exactly(5).await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let config = ProxyConfig { expect_timeout: Duration::from_millis(20), ..ProxyConfig::default() };
    let mut connection =
        RawConnection::connect(proxy_with(client(Config::default()), &silent.uri("/"), config).await).await;
    connection.send(request).await;
    assert!(connection.head().await.unwrap().starts_with("HTTP/1.1 100 "));
    connection.send("hello").await;
    assert!(connection.head().await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_disconnects_closes_the_upstream_connection() {
    let (gone, mut left) = tokio::sync::mpsc::channel(1);
    let origin = Origin::scripted(move |_, mut connection| {
        let gone = gone.clone();
        async move {
            connection.head().await;
            connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await;
            connection.rest().await;
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let mut connection = RawConnection::connect(proxy(&origin).await).await;
    connection.send("GET / HTTP/1.1\r\nhost: f\r\n\r\n").await;
    connection.until("ok\r\n").await.unwrap();
    drop(connection);
    tokio::time::timeout(Duration::from_secs(60), left.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_client_frames_a_request_by_its_body() {
    let origin = echo().await;
    let client: Client = client(Config::default());
    let request = Request::post(origin.uri("/")).header("content-length", "9").header("connection", "x");
    let response = client.request(request.body(Body::empty()).unwrap()).await.unwrap();
    let head = response.into_body().collect(9999).await.unwrap();
    let head = String::from_utf8_lossy(&head);
    assert!(head.contains("content-length: 0\r\n") && !head.contains("connection"), "{head}");
}
