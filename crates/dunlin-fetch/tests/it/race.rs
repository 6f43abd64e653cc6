//! An upstream that closes a connection just as a request is sent on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dunlin_fetch::{Config, ProxyConfig};

use crate::support::{Origin, ask, client, proxy_with};

/// Answers the first request of each connection; of the second it reads the head, sends `last`, and
/// closes.
async fn closing(last: &'static str) -> (Origin, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let origin = Origin::scripted(move |_, mut wire| {
        let counter = counter.clone();
        async move {
            wire.head().await;
            counter.fetch_add(1, Ordering::SeqCst);
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            if wire.head().await.is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
                wire.send(last).await;
            }
        }
    });
    (origin.await, requests)
}

async fn check(request: &str, last: &'static str, config: Config, second: &str, requests: usize, retries: usize) {
    let (origin, counter) = closing(last).await;
    let client = client(config);
    let front = proxy_with(client.clone(), &origin.uri("/"), ProxyConfig::default()).await;
    let request = request.replace("\r\n\r\n", "\r\nhost: front\r\nconnection: close\r\n\r\n");
    let first = ask(front, &request).await;
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    let answer = ask(front, &request).await;
    assert!(answer.starts_with(second), "{request}\n{answer}");
    assert_eq!((counter.load(Ordering::SeqCst), client.stats().retries), (requests, retries), "{request}");
}

#[tokio::test]
async fn an_idempotent_request_is_sent_once_more() {
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        check(&format!("{method} / HTTP/1.1\r\n\r\n"), "", Config::default(), "HTTP/1.1 200 ", 3, 1).await;
    }
}

#[tokio::test]
async fn a_text_is_fetched_once_more() {
    let (origin, requests) = closing("").await;
    let client = client(Config::default());
    for _ in 0..2 {
        assert_eq!(client.get_text(&origin.uri("/"), None).await.unwrap().text, "");
    }
    assert_eq!((requests.load(Ordering::SeqCst), client.stats().retries), (3, 1));
}

#[tokio::test]
async fn others_are_not() {
    check("POST / HTTP/1.1\r\n\r\n", "", Config::default(), "HTTP/1.1 502 ", 2, 0).await;
    check("FOO / HTTP/1.1\r\n\r\n", "", Config::default(), "HTTP/1.1 502 ", 2, 0).await;
    let body = "PUT / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx";
    check(body, "", Config::default(), "HTTP/1.1 502 ", 2, 0).await;
}

#[tokio::test]
async fn nothing_is_sent_again_once_a_byte_came() {
    check("GET / HTTP/1.1\r\n\r\n", "H", Config::default(), "HTTP/1.1 502 ", 2, 0).await;
    check("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", Config::default(), "HTTP/1.1 502 ", 2, 0).await;
}

#[tokio::test]
async fn nor_when_retries_are_off() {
    let config = Config { retry: false, ..Config::default() };
    check("GET / HTTP/1.1\r\n\r\n", "", config, "HTTP/1.1 502 ", 2, 0).await;
}

#[tokio::test]
async fn nor_on_a_new_connection() {
    let origin = Origin::scripted(|_, mut wire| async move { drop(wire.head().await) }).await;
    let client = client(Config::default());
    assert!(client.get_text(&origin.uri("/"), None).await.is_err());
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_connection_closed_while_unused_costs_nothing() {
    let origin = Origin::scripted(|_, mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    let client = client(Config::default());
    let front = proxy_with(client.clone(), &origin.uri("/"), ProxyConfig::default()).await;
    for _ in 0..5 {
        // Not even POST may notice; the connection's end is there before the next request is.
        let answer = ask(front, "POST / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!((origin.connections(), client.stats().retries), (5, 0));
}

#[tokio::test]
async fn an_announced_timeout_is_believed() {
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\nkeep-alive: max=5, timeout=1\r\ncontent-length: 0\r\n\r\n").await;
    let client = client(Config::default());
    for _ in 0..2 {
        client.get_text(&origin.uri("/"), None).await.unwrap();
    }
    assert_eq!((origin.connections(), client.stats().idle), (2, 0));
}
