//! Upstreams that take too long.

use std::time::Duration;

use dunlin_fetch::{Config, Error, ProxyConfig};

use crate::support::{Origin, client, content, exchange, get, proxy_with};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn no_head_in_time_is_504() {
    for start in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let origin = Origin::scripted(move |_, mut connection| async move {
            connection.head().await;
            connection.send(start).await;
            connection.rest().await;
        })
        .await;
        let config = ProxyConfig { response_timeout: Some(SHORT), ..ProxyConfig::default() };
        let front = proxy_with(client(Config::default()), &origin.uri("/"), config).await;
        let response = get(front, "/").await;
        assert!(response.starts_with("HTTP/1.1 504 ") && response.contains("application/problem+json"), "{response}");
    }
}

#[tokio::test]
async fn a_long_pause_in_the_body_fails_it() {
    let origin = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await;
        connection.rest().await;
    })
    .await;
    let client = client(Config { read_timeout: SHORT, ..Config::default() });
    let front = proxy_with(client.clone(), &origin.uri("/"), ProxyConfig::default()).await;
    let response = get(front, "/").await;
    assert!(response.starts_with("HTTP/1.1 200 ") && !response.ends_with("0\r\n\r\n"), "{response}");
    let error = client.get_text(&origin.uri("/"), None).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error}");
}

#[tokio::test]
async fn a_slow_client_does_not_time_the_upstream_out() {
    // The body takes longer than the response timeout, but the client is slow, not the upstream.
    let origin = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        let body = connection.until("0\r\n\r\n").await.unwrap();
        connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    })
    .await;
    let config = ProxyConfig { response_timeout: Some(Duration::from_secs(1)), ..ProxyConfig::default() };
    let front = proxy_with(client(Config::default()), &origin.uri("/"), config).await;
    let mut connection = crate::support::RawConnection::connect(front).await;
    connection.send("POST / HTTP/1.1\r\nhost: f\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        connection.send("1\r\nx\r\n").await;
    }
    connection.send("0\r\n\r\n").await;
    let response = String::from_utf8(connection.rest().await).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert_eq!(content(&response).matches('x').count(), 5, "{response}");
}

#[tokio::test]
async fn no_handshake_in_time_is_504() {
    // TCP connects, but the TLS handshake never ends.
    let origin = Origin::scripted(|_, mut connection| async move { drop(connection.rest().await) }).await;
    let upstream = format!("https://{}/", origin.address).parse().unwrap();
    let client = client(Config { connect_timeout: SHORT, ..Config::default() });
    let front = proxy_with(client, &upstream, ProxyConfig::default()).await;
    let response = exchange(front, "GET / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 504 "), "{response}");
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let client = client(Config { idle_timeout: SHORT, ..Config::default() });
    client.get_text(&origin.uri("/"), None).await.unwrap();
    assert_eq!(client.stats().idle, 1);
    while client.stats().idle > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
