//! Upstreams that take too long.

use std::time::Duration;

use dunlin_fetch::{Config, FetchError, ProxyConfig};

use crate::support::{Origin, ask, client, content, get, proxy_with};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn no_head_in_time_is_504() {
    for start in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let origin = Origin::scripted(move |_, mut wire| async move {
            wire.head().await;
            wire.send(start).await;
            wire.rest().await;
        })
        .await;
        let config = ProxyConfig { response_timeout: Some(SHORT), ..ProxyConfig::default() };
        let front = proxy_with(client(Config::default()), &origin.uri("/"), config).await;
        let answer = get(front, "/").await;
        assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("application/problem+json"), "{answer}");
    }
}

#[tokio::test]
async fn a_pause_in_the_body_breaks_the_answer_off() {
    let origin = Origin::scripted(|_, mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await;
        wire.rest().await;
    })
    .await;
    let client = client(Config { read_timeout: SHORT, ..Config::default() });
    let front = proxy_with(client.clone(), &origin.uri("/"), ProxyConfig::default()).await;
    let answer = get(front, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    let error = client.get_text(&origin.uri("/"), None).await.unwrap_err();
    assert!(matches!(error, FetchError::Timeout(_)), "{error}");
}

#[tokio::test]
async fn a_slow_client_is_not_the_upstreams_fault() {
    // The body takes longer than the upstream has for its head; but it is the client that is slow.
    let origin = Origin::scripted(|_, mut wire| async move {
        wire.head().await;
        let body = wire.until("0\r\n\r\n").await.unwrap();
        wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    })
    .await;
    let config = ProxyConfig { response_timeout: Some(Duration::from_secs(2)), ..ProxyConfig::default() };
    let front = proxy_with(client(Config::default()), &origin.uri("/"), config).await;
    let mut wire = crate::support::Wire::connect(front).await;
    wire.send("POST / HTTP/1.1\r\nhost: f\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        wire.send("1\r\nx\r\n").await;
    }
    wire.send("0\r\n\r\n").await;
    let answer = String::from_utf8(wire.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(content(&answer).matches('x').count(), 5, "{answer}");
}

#[tokio::test]
async fn no_handshake_in_time_is_504() {
    // TCP connects, TLS never does.
    let origin = Origin::scripted(|_, mut wire| async move { drop(wire.rest().await) }).await;
    let upstream = format!("https://{}/", origin.address).parse().unwrap();
    let client = client(Config { connect_timeout: SHORT, ..Config::default() });
    let front = proxy_with(client, &upstream, ProxyConfig::default()).await;
    let answer = ask(front, "GET / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
}

#[tokio::test]
async fn unused_connections_are_closed_in_time() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let client = client(Config { idle_timeout: SHORT, ..Config::default() });
    client.get_text(&origin.uri("/"), None).await.unwrap();
    assert_eq!(client.stats().idle, 1);
    while client.stats().idle > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
