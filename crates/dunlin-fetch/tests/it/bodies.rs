//! Bodies, both ways: streams, lengths, trailers, ends that are none.

use std::time::Duration;

use bytes::Bytes;
use dunlin_fetch::{Client, Config, Proxy, ProxyConfig};
use dunlin_http::{Body, Limited};
use http::Request;
use http_body_util::StreamBody;

use crate::support::{Origin, Wire, ask, client, content, echo, get, lines, proxy, proxy_with};

/// An origin that reads one request, up to `end`, and answers with all it read.
async fn mirror(end: &'static str) -> Origin {
    Origin::scripted(move |_, mut wire| async move {
        if let Some(request) = wire.until(end).await {
            wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{request}", request.len())).await;
        }
    })
    .await
}

async fn seen(fields: &str, body: &str, end: &'static str) -> String {
    let config = ProxyConfig { x_forwarded: false, via: None, ..ProxyConfig::default() };
    let front = proxy_with(client(Config::default()), &mirror(end).await.uri("/"), config).await;
    let (method, fields) = fields.split_once(' ').unwrap();
    let answer =
        ask(front, &format!("{method} / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n{fields}\r\n{body}")).await;
    content(&answer).to_owned()
}

#[tokio::test]
async fn a_request_keeps_its_framing() {
    let request = seen("POST content-length: 5\r\n", "hello", "hello").await;
    assert!(lines(&request).contains(&"content-length: 5") && !request.contains("transfer-encoding"), "{request}");
    for method in ["POST", "GET", "DELETE", "FOO"] {
        let request =
            seen(&format!("{method} transfer-encoding: chunked\r\n"), "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n").await;
        assert!(lines(&request).contains(&"transfer-encoding: chunked"), "{request}");
        assert_eq!(content(&request), "5\r\nhello\r\n0\r\n\r\n");
    }
    let request = seen("POST content-length: 0\r\n", "", "\r\n\r\n").await;
    assert!(lines(&request).contains(&"content-length: 0"), "{request}");
    let request = seen("GET x: y\r\n", "", "\r\n\r\n").await;
    assert!(!request.contains("content-length") && !request.contains("transfer-encoding"), "{request}");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let body = "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
    let request = seen("POST transfer-encoding: chunked\r\ntrailer: x-sum\r\n", body, "x-sum: 1\r\n\r\n").await;
    assert_eq!(content(&request), body);

    let answer =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n";
    let front = proxy(&Origin::answering(answer).await).await;
    let answer = ask(front, "GET / HTTP/1.1\r\nhost: f\r\nte: trailers\r\nconnection: te, close\r\n\r\n").await;
    assert!(answer.contains("trailer: x-sum\r\n"), "{answer}");
    assert!(answer.ends_with("2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn answers_keep_their_framing() {
    let with_length = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let answer = get(proxy(&Origin::answering(with_length).await).await, "/").await;
    assert!(answer.contains("content-length: 2\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");

    let until_close = Origin::scripted(|_, mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\n\r\nok").await;
    });
    let answer = get(proxy(&until_close.await).await, "/").await;
    assert!(answer.contains("transfer-encoding: chunked") && answer.ends_with("2\r\nok\r\n0\r\n\r\n"), "{answer}");

    let head = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\netag: \"x\"\r\n\r\n").await;
    let front = proxy(&head).await;
    for _ in 0..2 {
        let answer = ask(front, "HEAD / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n").await;
        assert!(answer.contains("content-length: 1234\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
    assert_eq!(head.connections(), 1);
}

#[tokio::test]
async fn interim_answers_are_not_final() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
                   HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let answer = get(proxy(&Origin::answering(interim).await).await, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("link"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test]
async fn what_breaks_off_upstream_breaks_off_here() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n5\r\nx",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nnonsense\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
    ] {
        let origin = Origin::scripted(move |_, mut wire| async move {
            wire.head().await;
            wire.send(answer).await;
        })
        .await;
        let got = get(proxy(&origin).await, "/").await;
        if got.starts_with("HTTP/1.1 200 ") {
            let complete = if got.contains("chunked") { got.ends_with("0\r\n\r\n") } else { content(&got).len() == 10 };
            assert!(!complete, "{answer:?} gave {got:?}");
        } else {
            assert!(got.starts_with("HTTP/1.1 502 ") || got.is_empty(), "{answer:?} gave {got:?}");
        }
    }
}

#[tokio::test]
async fn large_streams_pass_both_ways_at_once() {
    const SIZE: usize = 32 << 20;
    // Sends back what it reads, as it reads it.
    let origin = Origin::scripted(|_, mut wire| async move {
        wire.head().await;
        wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n")).await;
        let mut left = SIZE;
        while left > 0 {
            let chunk = wire.exactly(left.min(1 << 16)).await;
            left -= chunk.len();
            wire.send(&chunk).await;
        }
    })
    .await;
    let front = proxy(&origin).await;
    let (reader, mut writer) = Wire::connect(front).await.stream.into_split();
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
async fn an_upstream_sends_no_faster_than_is_read() {
    // More than all buffers on the way can hold.
    const SIZE: usize = 256 << 20;
    let (sent, mut progress) = tokio::sync::watch::channel(0_usize);
    let origin = Origin::scripted(move |_, mut wire| {
        let sent = sent.clone();
        async move {
            wire.head().await;
            wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n")).await;
            for _ in 0..SIZE >> 20 {
                wire.send(vec![b'x'; 1 << 20]).await;
                sent.send_modify(|sent| *sent += 1 << 20);
            }
        }
    })
    .await;
    let front = proxy(&origin).await;
    let mut wire = Wire::connect(front).await;
    wire.send("GET / HTTP/1.1\r\nhost: f\r\n\r\n").await;
    wire.head().await;
    // Until nothing moves any more.
    while tokio::time::timeout(Duration::from_millis(300), progress.changed()).await.is_ok() {}
    let stuck_at = *progress.borrow();
    assert!(stuck_at < SIZE / 2, "{stuck_at} bytes are on the way");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let origin = Origin::scripted(|_, mut wire| async move { drop(wire.rest().await) }).await;
    let proxy = Proxy::new(client(Config::default()), &origin.uri("/"), ProxyConfig::default()).unwrap();
    let chunks =
        (0..10).map(|_| Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(b"0123456789"))));
    let body = Body::new(StreamBody::new(futures_util::stream::iter(chunks)));
    let request = Request::post("/").body(Body::new(Limited::new(body, 50))).unwrap();
    assert_eq!(proxy.forward(request, "/").await.status(), 413);
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_body() {
    let origin = Origin::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    let front = proxy(&origin).await;
    let mut wire = Wire::connect(front).await;
    wire.send("POST / HTTP/1.1\r\nhost: f\r\ncontent-length: 1000000\r\n\r\nx").await;
    let head = wire.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!(wire.exactly(2).await, b"no");
}

#[tokio::test]
async fn expectations_are_the_upstreams_to_meet() {
    // It refuses: the client never sends its body.
    let refusing = Origin::answering("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n").await;
    let mut wire = Wire::connect(proxy(&refusing).await).await;
    let request = "PUT / HTTP/1.1\r\nhost: f\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    wire.send(request).await;
    assert!(wire.head().await.unwrap().starts_with("HTTP/1.1 417 "));

    // It agrees, then answers.
    let agreeing = Origin::scripted(|_, mut wire| async move {
        let head = wire.head().await.unwrap();
        assert!(head.contains("expect: 100-continue\r\n"));
        wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        let body = wire.exactly(5).await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
        wire.send(body).await;
    })
    .await;
    let config = ProxyConfig { expect_timeout: Duration::from_secs(60), ..ProxyConfig::default() };
    let front = proxy_with(client(Config::default()), &agreeing.uri("/"), config).await;
    let mut wire = Wire::connect(front).await;
    wire.send(request).await;
    assert!(wire.head().await.unwrap().starts_with("HTTP/1.1 100 "));
    wire.send("hello").await;
    assert!(wire.head().await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(wire.exactly(5).await, b"hello");

    // It says nothing, as HTTP/1.0 servers do: the body is sent in the end.
    let silent = Origin::scripted(|_, mut wire| async move {
        wire.head().await;
        wire.exactly(5).await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let config = ProxyConfig { expect_timeout: Duration::from_millis(20), ..ProxyConfig::default() };
    let mut wire = Wire::connect(proxy_with(client(Config::default()), &silent.uri("/"), config).await).await;
    wire.send(request).await;
    assert!(wire.head().await.unwrap().starts_with("HTTP/1.1 100 "));
    wire.send("hello").await;
    assert!(wire.head().await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_connection_along() {
    let (gone, mut left) = tokio::sync::mpsc::channel(1);
    let origin = Origin::scripted(move |_, mut wire| {
        let gone = gone.clone();
        async move {
            wire.head().await;
            wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await;
            wire.rest().await;
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let mut wire = Wire::connect(proxy(&origin).await).await;
    wire.send("GET / HTTP/1.1\r\nhost: f\r\n\r\n").await;
    wire.until("ok\r\n").await.unwrap();
    drop(wire);
    tokio::time::timeout(Duration::from_secs(60), left.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_sends_what_its_body_is_and_not_what_its_fields_say() {
    let origin = echo().await;
    let client: Client = client(Config::default());
    let request = Request::post(origin.uri("/")).header("content-length", "9").header("connection", "x");
    let response = client.request(request.body(Body::empty()).unwrap()).await.unwrap();
    let head = response.into_body().collect(9999).await.unwrap();
    let head = String::from_utf8_lossy(&head);
    assert!(head.contains("content-length: 0\r\n") && !head.contains("connection"), "{head}");
}
