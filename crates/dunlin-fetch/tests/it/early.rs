//! An upstream that answers before it has the whole request (RFC 9112 §9.5), or that never comes to
//! an answer.

use dunlin_fetch::{Config, ProxyConfig};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Origin, Wire, client, proxy, proxy_with};

/// Answers after the head, and closes with the body unread, so that the kernel sends a reset.
async fn refusing() -> Origin {
    Origin::scripted(|_, mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!").await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_to_an_upload_is_delivered() {
    let front = proxy(&refusing().await).await;
    for length in [100_000, 200_000, 1_000_000, 5_000_000] {
        for _ in 0..10 {
            let mut wire = Wire::connect(front).await;
            let head = format!("POST /up HTTP/1.1\r\nhost: f\r\ncontent-length: {length}\r\n\r\n");
            wire.send(head).await;
            let body = vec![b'x'; length];
            // The front may close while the rest is on its way.
            let _ = wire.stream.write_all(&body).await;
            let head = wire.head().await.unwrap_or_default();
            assert!(head.starts_with("HTTP/1.1 413 "), "{length}: {head:?}");
            assert_eq!(wire.exactly(3).await, b"no!");
        }
    }
}

#[tokio::test]
async fn without_an_answer_it_is_502() {
    let origin = Origin::scripted(|_, mut wire| async move {
        wire.head().await;
    });
    let front = proxy(&origin.await).await;
    let mut wire = Wire::connect(front).await;
    wire.send("POST / HTTP/1.1\r\nhost: f\r\ncontent-length: 2000000\r\n\r\n").await;
    let _ = wire.stream.write_all(&vec![b'x'; 2_000_000]).await;
    assert!(wire.head().await.unwrap_or_default().starts_with("HTTP/1.1 502 "));
}

/// Sends interim responses, then the final one.
async fn interim(count: usize) -> String {
    let origin = Origin::scripted(move |_, mut wire| async move {
        wire.head().await;
        for _ in 0..count {
            wire.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
        }
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        wire.head().await;
    });
    let front = proxy(&origin.await).await;
    let mut wire = Wire::connect(front).await;
    wire.send("GET / HTTP/1.1\r\nhost: f\r\n\r\n").await;
    loop {
        let head = wire.head().await.unwrap();
        if !head.starts_with("HTTP/1.1 103 ") {
            return head;
        }
    }
}

#[tokio::test]
async fn the_33rd_interim_response_is_one_too_many() {
    assert!(interim(32).await.starts_with("HTTP/1.1 200 "));
    assert!(interim(33).await.starts_with("HTTP/1.1 502 "));
    assert!(interim(5000).await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn the_number_of_fields_is_a_setting() {
    let links = "link: </a>\r\n".repeat(150);
    let origin = Origin::answering(format!("HTTP/1.1 200 OK\r\n{links}content-length: 0\r\n\r\n")).await;
    for (max_fields, status) in [(100, "502"), (151, "200")] {
        let client = client(Config { max_fields, ..Config::default() });
        let front = proxy_with(client, &origin.uri("/"), ProxyConfig::default()).await;
        let mut wire = Wire::connect(front).await;
        wire.send("GET / HTTP/1.1\r\nhost: f\r\n\r\n").await;
        let head = wire.head().await.unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{max_fields}: {head}");
    }
}
