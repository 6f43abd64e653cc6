//! Files that are streamed.

use std::fs;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};

use dunlin_http::Body;
use dunlin_static::Config;
use http::{HeaderMap, Method};
use http_body::Body as _;

use crate::support::{Site, read, write};

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|n| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ seed).collect()
}

fn site(content: &[u8]) -> Site {
    let site = Site::new(&[], Config { max_file: 1000, ..Config::default() });
    write(&site.path("big.bin"), content);
    site
}

/// Waits out the time in which a file counts as being written.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(2100)).await;
}

async fn frame(body: &mut Body) -> Option<Result<usize, dunlin_http::BoxError>> {
    let frame = std::future::poll_fn(|cx: &mut Context<'_>| Pin::new(&mut *body).poll_frame(cx)).await?;
    Some(frame.map(|frame| frame.into_data().unwrap().len()))
}

#[tokio::test]
async fn are_streamed_whole_and_tagged_once_they_stand_still() {
    for len in [1001, 131_071, 131_072, 131_073, 3_000_000] {
        let (content, begun) = (bytes(len, 0), Instant::now());
        let site = site(&content);
        let answer = site.get("/big.bin").await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, len));
        assert!(answer.body == content, "{len}");
        let untagged = answer.field("etag").is_empty();
        assert!(untagged || begun.elapsed() > Duration::from_secs(2), "it was written a moment ago");
    }
    let site = site(&bytes(3_000_000, 0));
    settle().await;
    let answer = site.get("/big.bin").await;
    answer.assert_sound();
    let tag = answer.field("etag").to_owned();
    let answer = site.ask(Method::GET, "/big.bin", &[("if-none-match", &tag)]).await;
    assert_eq!(answer.status, 304);
    let answer = site.ask(Method::GET, "/big.bin", &[("range", "bytes=100000-2500000"), ("if-range", &tag)]).await;
    assert_eq!(answer.status, 206);
    assert!(answer.body == bytes(3_000_000, 0)[100_000..=2_500_000]);
    assert!(site.files.stats().bytes < 10_000, "{:?}", site.files.stats());
}

#[tokio::test]
async fn one_that_is_hot_is_held() {
    let site = site(&bytes(3_000_000, 0));
    settle().await;
    let mut asked = 0;
    while site.files.stats().bytes < 3_000_000 {
        asked += 1;
        assert!(asked < 10_000, "it is not held: {:?}", site.files.stats());
        assert_eq!(site.ask(Method::HEAD, "/big.bin", &[]).await.status, 200);
        // Another task takes it into memory.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(asked >= 8, "{asked}");
    site.get("/big.bin").await.assert_sound();
    let response = site.files.respond(&Method::GET, &HeaderMap::new(), "big.bin").await;
    assert!(response.body().id().is_some());
}

#[tokio::test]
async fn a_file_cut_short_while_sent_breaks_the_body_off() {
    let site = site(&bytes(2_000_000, 0));
    let response = site.files.respond(&Method::GET, &HeaderMap::new(), "big.bin").await;
    let mut body = response.into_body();
    assert!(frame(&mut body).await.unwrap().unwrap() > 0);
    fs::File::options().write(true).open(site.path("big.bin")).unwrap().set_len(1_000_000).unwrap();
    let mut sent = 0;
    let error = loop {
        match frame(&mut body).await.unwrap() {
            Ok(len) => sent += len,
            Err(error) => break error,
        }
    };
    assert!(sent < 1_000_000 && error.to_string().contains("changed"), "{error}");
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn a_file_written_to_while_sent_breaks_the_body_off() {
    let site = site(&bytes(2_000_000, 0));
    let response = site.files.respond(&Method::GET, &HeaderMap::new(), "big.bin").await;
    fs::File::options().write(true).open(site.path("big.bin")).unwrap().write_all_at(b"x", 1_500_000).unwrap();
    read(response).await.map(|answer| answer.body.len()).unwrap_err();
}

/// As a client sees it: the length that was announced does not come, and the connection ends.
#[tokio::test]
async fn over_a_socket_a_body_broken_off_ends_the_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let site = Site::new(&[], Config { memory: 1 << 20, ..Config::default() });
    write(&site.path("big.bin"), bytes(30_000_000, 0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().nest_service("/static", site.files.clone());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /static/big.bin HTTP/1.1\r\nhost: a.example\r\n\r\n").await.unwrap();
    let mut start = [0; 2000];
    client.read_exact(&mut start).await.unwrap();
    assert!(String::from_utf8_lossy(&start).contains("content-length: 30000000\r\n"));
    fs::File::options().write(true).open(site.path("big.bin")).unwrap().set_len(10_000_000).unwrap();
    let mut rest = Vec::new();
    // A reset or an end: in any case less than was announced.
    let _ = client.read_to_end(&mut rest).await;
    assert!(rest.len() < 29_000_000, "{}", rest.len());
    server.abort();
}

#[tokio::test]
async fn a_file_replaced_while_sent_is_sent_as_it_was() {
    let site = site(&bytes(2_000_000, 0));
    let response = site.files.respond(&Method::GET, &HeaderMap::new(), "big.bin").await;
    write(&site.path("new"), bytes(500_000, 1));
    fs::rename(site.path("new"), site.path("big.bin")).unwrap();
    assert!(read(response).await.unwrap().body == bytes(2_000_000, 0));
    assert!(site.get("/big.bin").await.body == bytes(500_000, 1), "a large file is looked at each time");
}

#[tokio::test]
async fn may_grow_large_and_shrink() {
    let site =
        Site::new(&[("a", "small")], Config { max_file: 1000, seen_within: Default::default(), ..Config::default() });
    assert_eq!(site.get("a").await.text(), "small");
    write(&site.path("a"), bytes(5000, 2));
    assert!(site.get("a").await.body == bytes(5000, 2));
    write(&site.path("a"), "tiny");
    let answer = site.get("a").await;
    answer.assert_sound();
    assert_eq!(answer.text(), "tiny");
}
