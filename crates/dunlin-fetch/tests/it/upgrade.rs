//! Connections that change to another protocol.

use std::time::Duration;

use dunlin_fetch::{Config, ProxyConfig};

use crate::support::{Origin, Wire, ask, client, get, proxy, proxy_with};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nhost: f\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: x\r\n\r\n";

/// Changes to a protocol that shouts back, and says so with `protocol`.
async fn shouting(protocol: &'static str) -> Origin {
    Origin::scripted(move |_, mut wire| async move {
        let head = wire.head().await.unwrap();
        assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
        // The first bytes of the new protocol come with the head.
        wire.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n{protocol}sec-websocket-accept: y\r\n\r\nhi!"
        ))
        .await;
        while let Some(line) = wire.until("\n").await {
            wire.send(line.to_uppercase()).await;
        }
        wire.send("bye").await;
    })
    .await
}

#[tokio::test]
async fn a_tunnel_after_101() {
    let origin = shouting("upgrade: WebSocket\r\n").await;
    let mut wire = Wire::connect(proxy(&origin).await).await;
    // The client may be early, too.
    wire.send(format!("{REQUEST}early\n")).await;
    let head = wire.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("sec-websocket-accept: y\r\n"), "{head}");
    assert!(head.contains("upgrade: WebSocket\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
    assert_eq!(wire.exactly(9).await, b"hi!EARLY\n");
    let long = "x".repeat(1 << 20);
    wire.send(format!("{long}\n")).await;
    assert_eq!(wire.exactly(long.len() + 1).await, format!("{}\n", long.to_uppercase()).as_bytes());
    // Each direction ends by itself.
    tokio::io::AsyncWriteExt::shutdown(&mut wire.stream).await.unwrap();
    assert_eq!(wire.rest().await, b"bye");
}

#[tokio::test]
async fn tunnels_take_no_place_from_requests() {
    let origin = shouting("upgrade: websocket\r\n").await;
    let client =
        client(Config { max_connections: 2, acquire_timeout: Duration::from_millis(100), ..Config::default() });
    let front = proxy_with(client.clone(), &origin.uri("/"), ProxyConfig::default()).await;
    let mut tunnels = Vec::new();
    for _ in 0..8 {
        let mut wire = Wire::connect(front).await;
        wire.send(REQUEST).await;
        let head = wire.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        tunnels.push(wire);
    }
    assert_eq!((client.stats().tunnels, client.stats().open_tunnels), (8, 8));
    drop(tunnels);
    let begun = std::time::Instant::now();
    while client.stats().open_tunnels > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the tunnels do not end");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_end_of_the_upstream_reaches_the_client() {
    let origin = Origin::scripted(|_, mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nbye").await;
    });
    let mut wire = Wire::connect(proxy(&origin.await).await).await;
    wire.send(REQUEST).await;
    assert!(wire.head().await.unwrap().starts_with("HTTP/1.1 101 "));
    // The client has sent no end of its own.
    let rest = tokio::time::timeout(Duration::from_secs(30), wire.rest()).await.expect("the end comes");
    assert_eq!(rest, b"bye");
}

#[tokio::test]
async fn an_upstream_may_decline() {
    let front = proxy(&Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno").await).await;
    let mut wire = Wire::connect(front).await;
    for _ in 0..2 {
        wire.send(REQUEST).await;
        let head = wire.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("upgrade"), "{head}");
        assert_eq!(wire.exactly(2).await, b"no");
    }
}

#[tokio::test]
async fn another_protocol_than_asked_for_is_502() {
    for protocol in ["upgrade: h2c\r\n", "upgrade: websocket, h2c\r\n", ""] {
        let front = proxy(&shouting(protocol).await).await;
        let mut wire = Wire::connect(front).await;
        wire.send(REQUEST).await;
        let head = wire.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 502 "), "{protocol:?} {head}");
    }
}

#[tokio::test]
async fn nothing_is_tunnelled_that_was_not_asked_for() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let front = proxy(&Origin::answering(answer).await).await;
    assert!(get(front, "/").await.starts_with("HTTP/1.1 502 "));
    let h2c = "GET / HTTP/1.1\r\nhost: f\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n";
    assert!(ask(front, h2c).await.starts_with("HTTP/1.1 502 "));
}
