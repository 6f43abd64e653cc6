//! An upstream that responds before it has the whole request (RFC 9112 §9.5), or that sends no
//! final response.

use dunlin_fetch::{Config, ProxyConfig};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Origin, RawConnection, client, proxy, proxy_with};

/// An origin that responds after the head and closes with the body unread, so that the kernel sends
/// a reset.
async fn refusing() -> Origin {
    Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!").await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_response_to_an_upload_is_delivered() {
    let front = proxy(&refusing().await).await;
    for length in [100_000, 200_000, 1_000_000, 5_000_000] {
        for _ in 0..10 {
            let mut connection = RawConnection::connect(front).await;
            let head = format!("POST /up HTTP/1.1\r\nhost: f\r\ncontent-length: {length}\r\n\r\n");
            connection.send(head).await;
            let body = vec![b'x'; length];
            // The proxy may close before it has read all of it.
            let _ = connection.stream.write_all(&body).await;
            let head = connection.head().await.unwrap_or_default();
            assert!(head.starts_with("HTTP/1.1 413 "), "{length}: {head:?}");
            assert_eq!(connection.exactly(3).await, b"no!");
        }
    }
}

#[tokio::test]
async fn a_close_without_a_response_is_502() {
    let origin = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
    });
    let front = proxy(&origin.await).await;
    let mut connection = RawConnection::connect(front).await;
    connection.send("POST / HTTP/1.1\r\nhost: f\r\ncontent-length: 2000000\r\n\r\n").await;
    let _ = connection.stream.write_all(&vec![b'x'; 2_000_000]).await;
    assert!(connection.head().await.unwrap_or_default().starts_with("HTTP/1.1 502 "));
}

/// The final head of a response after `count` interim responses.
async fn interim(count: usize) -> String {
    let origin = Origin::scripted(move |_, mut connection| async move {
        connection.head().await;
        for _ in 0..count {
            connection.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
        }
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        connection.head().await;
    });
    let front = proxy(&origin.await).await;
    let mut connection = RawConnection::connect(front).await;
    connection.send("GET / HTTP/1.1\r\nhost: f\r\n\r\n").await;
    loop {
        let head = connection.head().await.unwrap();
        if !head.starts_with("HTTP/1.1 103 ") {
            return head;
        }
    }
}

#[tokio::test]
async fn more_than_32_interim_responses_are_502() {
    assert!(interim(32).await.starts_with("HTTP/1.1 200 "));
    assert!(interim(33).await.starts_with("HTTP/1.1 502 "));
    assert!(interim(5000).await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn the_limit_of_fields_is_a_setting() {
    let links = "link: </a>\r\n".repeat(150);
    let origin = Origin::responding(format!("HTTP/1.1 200 OK\r\n{links}content-length: 0\r\n\r\n")).await;
    for (max_fields, status) in [(100, "502"), (151, "200")] {
        let client = client(Config { max_fields, ..Config::default() });
        let front = proxy_with(client, &origin.uri("/"), ProxyConfig::default()).await;
        let mut connection = RawConnection::connect(front).await;
        connection.send("GET / HTTP/1.1\r\nhost: f\r\n\r\n").await;
        let head = connection.head().await.unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{max_fields}: {head}");
    }
}
