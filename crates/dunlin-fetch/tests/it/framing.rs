//! Ambiguous and malformed responses.

use crate::support::{Origin, get, proxy};

#[tokio::test]
async fn malformed_responses_are_502() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding:\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\nnul: \0\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "\0\0\0\0",
        "<html>no head</html>\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ] {
        let front = proxy(&Origin::responding(response).await).await;
        let proxied = get(front, "/").await;
        assert!(proxied.starts_with("HTTP/1.1 502 "), "{response:?}\ngave {proxied:?}");
    }
}

#[tokio::test]
async fn an_unregistered_coding_ends_with_the_connection() {
    let origin = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: x-own\r\nconnection: close\r\n\r\nwhole").await;
    });
    let response = get(proxy(&origin.await).await, "/").await;
    assert!(response.starts_with("HTTP/1.1 200 ") && !response.contains("x-own"), "{response:?}");
    assert!(response.ends_with("5\r\nwhole\r\n0\r\n\r\n"), "{response:?}");
}

#[tokio::test]
async fn an_endless_head_is_502() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    assert!(get(proxy(&Origin::responding(head).await).await, "/").await.starts_with("HTTP/1.1 502 "));
    let endless = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\nx: ").await;
        for _ in 0..100 {
            connection.send([b'x'; 65536]).await;
        }
    });
    assert!(get(proxy(&endless.await).await, "/").await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn repeated_equal_lengths_are_merged() {
    for lengths in ["content-length: 2\r\ncontent-length: 2", "content-length: 2, 2"] {
        let front = proxy(&Origin::responding(format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nok")).await).await;
        let response = get(front, "/").await;
        if response.starts_with("HTTP/1.1 502 ") {
            continue; // RFC 9112 §6.3 allows a recipient to refuse it.
        }
        assert_eq!(response.matches("content-length: 2\r\n").count(), 1, "{response}");
        assert_eq!(response.matches("content-length").count(), 1, "{response}");
    }
}

#[tokio::test]
async fn an_unrequested_response_is_discarded() {
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\noneHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let origin = Origin::responding(two).await;
    let front = proxy(&origin).await;
    for _ in 0..3 {
        assert!(get(front, "/").await.ends_with("\r\n\r\none"));
    }
    assert_eq!(origin.connections(), 3);
}
