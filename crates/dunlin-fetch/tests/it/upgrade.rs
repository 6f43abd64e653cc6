//! Connections that change to another protocol.

use std::time::Duration;

use dunlin_fetch::{Config, ProxyConfig};

use crate::support::{Origin, RawConnection, client, exchange, get, proxy, proxy_with};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nhost: f\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: x\r\n\r\n";

/// An origin that changes to a protocol that echoes lines in upper case. Its response has the field
/// line `protocol`.
async fn upper_case(protocol: &'static str) -> Origin {
    Origin::scripted(move |_, mut connection| async move {
        let head = connection.head().await.unwrap();
        assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
        // The first bytes of the new protocol come with the head.
        connection.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n{protocol}sec-websocket-accept: y\r\n\r\nhi!"
        ))
        .await;
        while let Some(line) = connection.until("\n").await {
            connection.send(line.to_uppercase()).await;
        }
        connection.send("bye").await;
    })
    .await
}

#[tokio::test]
async fn a_tunnel_after_101() {
    let origin = upper_case("upgrade: WebSocket\r\n").await;
    let mut connection = RawConnection::connect(proxy(&origin).await).await;
    // The client sends bytes of the new protocol with its request.
    connection.send(format!("{REQUEST}early\n")).await;
    let head = connection.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("sec-websocket-accept: y\r\n"), "{head}");
    assert!(head.contains("upgrade: WebSocket\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
    assert_eq!(connection.exactly(9).await, b"hi!EARLY\n");
    let long = "x".repeat(1 << 20);
    connection.send(format!("{long}\n")).await;
    assert_eq!(connection.exactly(long.len() + 1).await, format!("{}\n", long.to_uppercase()).as_bytes());
    // Each direction ends separately.
    tokio::io::AsyncWriteExt::shutdown(&mut connection.stream).await.unwrap();
    assert_eq!(connection.rest().await, b"bye");
}

#[tokio::test]
async fn tunnels_do_not_count_against_the_connection_limit() {
    let origin = upper_case("upgrade: websocket\r\n").await;
    let client =
        client(Config { max_connections: 2, acquire_timeout: Duration::from_millis(100), ..Config::default() });
    let front = proxy_with(client.clone(), &origin.uri("/"), ProxyConfig::default()).await;
    let mut tunnels = Vec::new();
    for _ in 0..8 {
        let mut connection = RawConnection::connect(front).await;
        connection.send(REQUEST).await;
        let head = connection.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        tunnels.push(connection);
    }
    assert_eq!((client.stats().tunnels, client.stats().open_tunnels), (8, 8));
    drop(tunnels);
    let start = std::time::Instant::now();
    while client.stats().open_tunnels > 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "the tunnels do not end");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_end_of_the_upstream_reaches_the_client() {
    let origin = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection
            .send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nbye")
            .await;
    });
    let mut connection = RawConnection::connect(proxy(&origin.await).await).await;
    connection.send(REQUEST).await;
    assert!(connection.head().await.unwrap().starts_with("HTTP/1.1 101 "));
    // The client has not closed its side.
    let rest = tokio::time::timeout(Duration::from_secs(30), connection.rest()).await.expect("the end comes");
    assert_eq!(rest, b"bye");
}

#[tokio::test]
async fn an_upstream_may_ignore_the_upgrade() {
    let front = proxy(&Origin::responding("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno").await).await;
    let mut connection = RawConnection::connect(front).await;
    for _ in 0..2 {
        connection.send(REQUEST).await;
        let head = connection.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("upgrade"), "{head}");
        assert_eq!(connection.exactly(2).await, b"no");
    }
}

#[tokio::test]
async fn a_protocol_that_was_not_requested_is_502() {
    for protocol in ["upgrade: h2c\r\n", "upgrade: websocket, h2c\r\n", ""] {
        let front = proxy(&upper_case(protocol).await).await;
        let mut connection = RawConnection::connect(front).await;
        connection.send(REQUEST).await;
        let head = connection.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 502 "), "{protocol:?} {head}");
    }
}

#[tokio::test]
async fn an_upgrade_without_a_request_is_502() {
    let response = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let front = proxy(&Origin::responding(response).await).await;
    assert!(get(front, "/").await.starts_with("HTTP/1.1 502 "));
    let h2c = "GET / HTTP/1.1\r\nhost: f\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n";
    assert!(exchange(front, h2c).await.starts_with("HTTP/1.1 502 "));
}
