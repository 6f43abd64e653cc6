//! Answers that two readers could take to end in two places, and other nonsense.

use crate::support::{Origin, get, proxy};

#[tokio::test]
async fn broken_answers_are_502() {
    for answer in [
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
        let front = proxy(&Origin::answering(answer).await).await;
        let answer_of_proxy = get(front, "/").await;
        assert!(answer_of_proxy.starts_with("HTTP/1.1 502 "), "{answer:?}\ngave {answer_of_proxy:?}");
    }
}

#[tokio::test]
async fn a_coding_that_nobody_has_heard_of_ends_with_the_connection() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: x-own\r\nconnection: close\r\n\r\nwhole";
    let answer = get(proxy(&Origin::answering(answer).await).await, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("whole") && !answer.contains("x-own"), "{answer:?}");
}

#[tokio::test]
async fn a_head_without_end_is_502() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    assert!(get(proxy(&Origin::answering(head).await).await, "/").await.starts_with("HTTP/1.1 502 "));
    let endless = Origin::scripted(|_, mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\nx: ").await;
        for _ in 0..100 {
            wire.send([b'x'; 65536]).await;
        }
    });
    assert!(get(proxy(&endless.await).await, "/").await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn the_same_length_twice_is_one_length() {
    for lengths in ["content-length: 2\r\ncontent-length: 2", "content-length: 2, 2"] {
        let front = proxy(&Origin::answering(format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nok")).await).await;
        let answer = get(front, "/").await;
        if answer.starts_with("HTTP/1.1 502 ") {
            continue; // Refusing is right, too (RFC 9112 §6.3).
        }
        assert_eq!(answer.matches("content-length: 2\r\n").count(), 1, "{answer}");
        assert_eq!(answer.matches("content-length").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_reaches_nobody() {
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\noneHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let origin = Origin::answering(two).await;
    let front = proxy(&origin).await;
    for _ in 0..3 {
        assert!(get(front, "/").await.ends_with("\r\n\r\none"));
    }
    assert_eq!(origin.connections(), 3);
}
