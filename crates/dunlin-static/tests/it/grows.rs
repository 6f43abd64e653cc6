//! Files that grow while they are downloaded, as logs and recordings do.

use std::fs::{self, File};
use std::io::Write as _;
use std::pin::Pin;

use dunlin_static::Config;
use http::{HeaderMap, Method};
use http_body::Body as _;

use crate::support::{Site, write};

const LENGTH: usize = 6 << 20;

fn content() -> Vec<u8> {
    (0..LENGTH / 8).flat_map(|line| format!("{line:>7}\n").into_bytes()).collect()
}

/// Downloads a file, and calls `change` with it after each chunk.
async fn download(change: impl Fn(&mut File, usize)) -> Result<Vec<u8>, String> {
    let site = Site::new(&[], Config { max_file: 1000, ..Config::default() });
    write(&site.path("app.log"), content());
    let mut file = File::options().append(true).open(site.path("app.log")).unwrap();
    let response = site.files.respond(&Method::GET, &HeaderMap::new(), "app.log").await;
    assert_eq!(response.body().len(), Some(LENGTH as u64));
    let (mut body, mut received) = (response.into_body(), Vec::new());
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        match frame {
            None => return Ok(received),
            Some(Err(error)) => return Err(error.to_string()),
            Some(Ok(frame)) => received.extend_from_slice(&frame.into_data().unwrap()),
        }
        change(&mut file, received.len());
    }
}

#[tokio::test]
async fn a_growing_file_is_sent_up_to_its_content_length() {
    let received = download(|file, _| file.write_all(b"one more line\n").unwrap()).await;
    assert!(received.unwrap() == content());
}

#[tokio::test]
async fn a_truncated_file_fails_the_body() {
    assert!(download(|file, _| file.set_len(1000).unwrap()).await.is_err());
}

#[tokio::test]
async fn a_rewritten_file_fails_the_body_although_it_is_longer() {
    let rewrite = |file: &mut File, _| {
        file.set_len(0).unwrap();
        file.write_all(&vec![b'x'; LENGTH + 100]).unwrap();
    };
    assert!(download(rewrite).await.is_err());
}

#[tokio::test]
async fn a_renamed_file_is_sent_as_it_was() {
    let site = Site::new(&[], Config { max_file: 1000, ..Config::default() });
    write(&site.path("app.log"), content());
    let response = site.files.respond(&Method::GET, &HeaderMap::new(), "app.log").await;
    fs::rename(site.path("app.log"), site.path("app.log.1")).unwrap();
    write(&site.path("app.log"), "new");
    assert!(response.into_body().collect(usize::MAX).await.unwrap() == content());
}
