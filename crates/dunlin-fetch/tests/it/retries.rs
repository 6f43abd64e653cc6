//! Retries: an upstream that closes a connection while a request is sent on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dunlin_fetch::{Config, ProxyConfig};
use tokio::sync::Notify;

use crate::support::{Origin, client, exchange, proxy_with};

/// An origin that responds to the first request of each connection. To the second, it sends `last`
/// and closes. Also returns the number of requests.
async fn closing(last: &'static str) -> (Origin, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let origin = Origin::scripted(move |_, mut connection| {
        let counter = counter.clone();
        async move {
            connection.head().await;
            counter.fetch_add(1, Ordering::SeqCst);
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            if connection.head().await.is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
                connection.send(last).await;
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
    let first = exchange(front, &request).await;
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    let response = exchange(front, &request).await;
    assert!(response.starts_with(second), "{request}\n{response}");
    assert_eq!((counter.load(Ordering::SeqCst), client.stats().retries), (requests, retries), "{request}");
}

#[tokio::test]
async fn an_idempotent_request_is_retried_once() {
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        check(&format!("{method} / HTTP/1.1\r\n\r\n"), "", Config::default(), "HTTP/1.1 200 ", 3, 1).await;
    }
}

#[tokio::test]
async fn a_text_is_retried_once() {
    let (origin, requests) = closing("").await;
    let client = client(Config::default());
    for _ in 0..2 {
        assert_eq!(client.get_text(&origin.uri("/"), None).await.unwrap().text, "");
    }
    assert_eq!((requests.load(Ordering::SeqCst), client.stats().retries), (3, 1));
}

#[tokio::test]
async fn other_requests_are_not_retried() {
    check("POST / HTTP/1.1\r\n\r\n", "", Config::default(), "HTTP/1.1 502 ", 2, 0).await;
    check("FOO / HTTP/1.1\r\n\r\n", "", Config::default(), "HTTP/1.1 502 ", 2, 0).await;
    let body = "PUT / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx";
    check(body, "", Config::default(), "HTTP/1.1 502 ", 2, 0).await;
}

#[tokio::test]
async fn no_request_is_retried_after_the_first_byte() {
    check("GET / HTTP/1.1\r\n\r\n", "H", Config::default(), "HTTP/1.1 502 ", 2, 0).await;
    check("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", Config::default(), "HTTP/1.1 502 ", 2, 0).await;
}

#[tokio::test]
async fn no_request_is_retried_if_retries_are_off() {
    let config = Config { retry: false, ..Config::default() };
    check("GET / HTTP/1.1\r\n\r\n", "", config, "HTTP/1.1 502 ", 2, 0).await;
}

#[tokio::test]
async fn no_request_is_retried_on_a_new_connection() {
    let origin = Origin::scripted(|_, mut connection| async move { drop(connection.head().await) }).await;
    let client = client(Config::default());
    assert!(client.get_text(&origin.uri("/"), None).await.is_err());
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_connection_closed_while_idle_needs_no_retry() {
    let closed = Arc::new(Notify::new());
    let notify = closed.clone();
    let origin = Origin::scripted(move |_, mut connection| {
        let notify = notify.clone();
        async move {
            connection.head().await;
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            drop(connection);
            notify.notify_one();
        }
    })
    .await;
    let client = client(Config::default());
    let front = proxy_with(client.clone(), &origin.uri("/"), ProxyConfig::default()).await;
    for _ in 0..5 {
        // Not even POST fails, because the connection has ended before the next request.
        let response = exchange(front, "POST / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        closed.notified().await;
    }
    assert_eq!((origin.connections(), client.stats().retries), (5, 0));
}

#[tokio::test]
async fn the_upstreams_keep_alive_timeout_is_obeyed() {
    let origin =
        Origin::responding("HTTP/1.1 200 OK\r\nkeep-alive: max=5, timeout=1\r\ncontent-length: 0\r\n\r\n").await;
    let client = client(Config::default());
    for _ in 0..2 {
        client.get_text(&origin.uri("/"), None).await.unwrap();
    }
    assert_eq!((origin.connections(), client.stats().idle), (2, 0));
}
