//! Files that are streamed.

use std::fs;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};

use dunlin_http::{Body, Clock};
use dunlin_static::Config;
use http::{HeaderMap, Method};
use http_body::Body as _;

use crate::support::{Site, clock_ahead, read, write};

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|n| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ seed).collect()
}

fn site(content: &[u8], clock: Clock) -> Site {
    let site = Site::new(&[], Config { max_file: 1000, clock, ..Config::default() });
    write(&site.path("big.bin"), content);
    site
}

async fn frame(body: &mut Body) -> Option<Result<usize, dunlin_http::BoxError>> {
    let frame = std::future::poll_fn(|cx: &mut Context<'_>| Pin::new(&mut *body).poll_frame(cx)).await?;
    Some(frame.map(|frame| frame.into_data().unwrap().len()))
}

#[tokio::test]
async fn are_streamed_whole_and_get_a_tag_once_they_are_two_seconds_old() {
    for len in [1001, 131_071, 131_072, 131_073, 3_000_000] {
        let (content, start) = (bytes(len, 0), Instant::now());
        let site = site(&content, Clock::system());
        let response = site.get("/big.bin").await;
        assert_eq!((response.status.as_u16(), response.body.len()), (200, len));
        assert!(response.body == content, "{len}");
        let untagged = response.field("etag").is_empty();
        assert!(untagged || start.elapsed() > Duration::from_secs(2), "it was written just now");
    }
    let site = site(&bytes(3_000_000, 0), clock_ahead());
    let response = site.get("/big.bin").await;
    response.assert_sound();
    let tag = response.field("etag").to_owned();
    let response = site.send(Method::GET, "/big.bin", &[("if-none-match", &tag)]).await;
    assert_eq!(response.status, 304);
    let response = site.send(Method::GET, "/big.bin", &[("range", "bytes=100000-2500000"), ("if-range", &tag)]).await;
    assert_eq!(response.status, 206);
    assert!(response.body == bytes(3_000_000, 0)[100_000..=2_500_000]);
    assert!(site.files.stats().bytes < 10_000, "{:?}", site.files.stats());
}

#[tokio::test]
async fn a_hot_file_is_loaded_into_memory() {
    let site = site(&bytes(3_000_000, 0), clock_ahead());
    let mut requests = 0;
    while site.files.stats().bytes < 3_000_000 {
        requests += 1;
        assert!(requests < 10_000, "it is not in memory: {:?}", site.files.stats());
        assert_eq!(site.send(Method::HEAD, "/big.bin", &[]).await.status, 200);
        // Another task loads it.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(requests >= 8, "{requests}");
    site.get("/big.bin").await.assert_sound();
    let response = site.files.respond(&Method::GET, &HeaderMap::new(), "big.bin").await;
    assert!(response.body().id().is_some());
}

#[tokio::test]
async fn a_file_truncated_while_it_is_sent_fails_the_body() {
    let site = site(&bytes(2_000_000, 0), Clock::system());
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
async fn a_file_written_to_while_it_is_sent_fails_the_body() {
    let site = site(&bytes(2_000_000, 0), Clock::system());
    let response = site.files.respond(&Method::GET, &HeaderMap::new(), "big.bin").await;
    fs::File::options().write(true).open(site.path("big.bin")).unwrap().write_all_at(b"x", 1_500_000).unwrap();
    read(response).await.map(|response| response.body.len()).unwrap_err();
}

/// A client gets less than `Content-Length`, and the connection ends.
#[tokio::test]
async fn a_failed_body_ends_the_connection() {
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
    // The read ends with a reset or an end of the stream.
    let _ = client.read_to_end(&mut rest).await;
    assert!(rest.len() < 29_000_000, "{}", rest.len());
    server.abort();
}

#[tokio::test]
async fn a_file_replaced_while_it_is_sent_is_sent_as_it_was() {
    let site = site(&bytes(2_000_000, 0), Clock::system());
    let response = site.files.respond(&Method::GET, &HeaderMap::new(), "big.bin").await;
    write(&site.path("new"), bytes(500_000, 1));
    fs::rename(site.path("new"), site.path("big.bin")).unwrap();
    assert!(read(response).await.unwrap().body == bytes(2_000_000, 0));
    assert!(
        site.get("/big.bin").await.body == bytes(500_000, 1),
        "a large file is compared with the disk on each request"
    );
}

#[tokio::test]
async fn a_file_may_grow_large_and_shrink() {
    let site =
        Site::new(&[("a", "small")], Config { max_file: 1000, seen_within: Default::default(), ..Config::default() });
    assert_eq!(site.get("a").await.text(), "small");
    write(&site.path("a"), bytes(5000, 2));
    assert!(site.get("a").await.body == bytes(5000, 2));
    write(&site.path("a"), "tiny");
    let response = site.get("a").await;
    response.assert_sound();
    assert_eq!(response.text(), "tiny");
}
