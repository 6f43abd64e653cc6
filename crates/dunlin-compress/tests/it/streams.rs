//! Streams: flushes, backpressure, and work in threads.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use dunlin_compress::{CompressLayer, Config};
use dunlin_http::Body;
use dunlin_http::negotiate::Coding;
use http::{HeaderMap, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::support::*;

fn events(body: Body) -> Response<Body> {
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

#[tokio::test]
async fn an_event_can_be_decoded_before_the_next_is_sent() {
    for coding in Coding::ALL {
        let (sender, receiver) = mpsc::unbounded_channel();
        let stream = events(Body::new(Sent(receiver)));
        let mut body = respond(&eager(), request(coding.as_str()), stream).await.into_body();
        let (mut encoded, mut sent) = (Vec::new(), Vec::new());
        // The largest goes to a thread.
        for len in [30, 1, 200, 5_000, 200_000, 3] {
            let event = text(len);
            sent.extend_from_slice(&event);
            sender.send(Ok(Frame::data(event))).unwrap();
            while library(coding, &encoded) != sent {
                encoded.extend_from_slice(&next(&mut body).await);
            }
        }
        drop(sender);
        encoded.extend_from_slice(&body.collect(usize::MAX).await.unwrap());
        assert!(tool(coding, &encoded) == sent, "{coding}");
    }
}

#[tokio::test]
async fn a_boxed_complete_body_is_not_a_stream() {
    let boxed = || axum::body::Body::from(text(3000));
    let sent = Response::builder().header("content-type", "text/plain").body(boxed()).unwrap();
    let response = respond(&eager(), request("gzip"), sent).await;
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let encoded = content(response).await;
    assert!(encoded.len() == length && tool(Coding::Gzip, &encoded) == text(3000));

    // A body of known length with trailers to come is a stream.
    let later = axum::body::Body::new(boxed().with_trailers(std::future::ready(None)));
    let sent = Response::builder().header("content-type", "text/plain").body(later).unwrap();
    let response = respond(&eager(), request("gzip"), sent).await;
    assert!(!response.headers().contains_key("content-length"));
    assert!(tool(Coding::Gzip, &content(response).await) == text(3000));
}

#[tokio::test]
async fn short_content_is_collected_if_all_of_it_is_available() {
    let sent = text(50_000);
    for coding in Coding::ALL {
        for available in [50_000, 30_000, 0] {
            let (sender, receiver) = mpsc::unbounded_channel();
            for at in (0..available).step_by(10_000) {
                sender.send(Ok(Frame::data(sent.slice(at..at + 10_000)))).unwrap();
            }
            let stream = plain(Body::new(Known::of(50_000, receiver)));
            let response = respond(&eager(), request(coding.as_str()), stream).await;
            assert_eq!(response.headers().contains_key("content-length"), available == 50_000, "{coding} {available}");
            let (mut body, mut encoded) = (response.into_body(), Vec::new());
            if available < 50_000 {
                while library(coding, &encoded) != sent[..available] {
                    encoded.extend_from_slice(&next(&mut body).await);
                }
                sender.send(Ok(Frame::data(sent.slice(available..)))).unwrap();
            }
            drop(sender);
            encoded.extend_from_slice(&body.collect(usize::MAX).await.unwrap());
            assert!(tool(coding, &encoded) == sent, "{coding} {available}");
        }
    }
}

#[tokio::test]
async fn trailers_come_after_the_content() {
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send(Ok(Frame::data(text(3000)))).unwrap();
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
    sender.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    let mut body = respond(&eager(), request("gzip"), plain(Body::new(Sent(receiver)))).await.into_body();
    assert_eq!(tool(Coding::Gzip, &next(&mut body).await), text(3000));
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    assert!(body.is_empty());
}

#[tokio::test]
async fn an_error_is_passed_on() {
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send(Ok(Frame::data(text(30)))).unwrap();
    sender.send(Err("broken off".into())).unwrap();
    let body = respond(&eager(), request("br"), plain(Body::new(Sent(receiver)))).await.into_body();
    let error = body.collect(usize::MAX).await.unwrap_err();
    assert!(error.to_string().contains("broken off"), "{error}");
}

/// An endless stream of incompressible pieces of 4 KiB. It counts them.
struct Endless {
    noise: Bytes,
    given: Arc<AtomicUsize>,
}

impl Endless {
    fn response() -> (Response<Body>, Arc<AtomicUsize>) {
        let given = Arc::new(AtomicUsize::new(0));
        // Longer than any window, so that its repetition cannot be encoded.
        (plain(Body::new(Self { noise: noise(1 << 20), given: Arc::clone(&given) })), given)
    }
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let at = self.given.fetch_add(1, Ordering::Relaxed) % 256 * 4096;
        Poll::Ready(Some(Ok(Frame::data(self.noise.slice(at..at + 4096)))))
    }
}

#[tokio::test]
async fn a_client_stops_the_encoder_when_it_does_not_read_and_frees_it_when_it_leaves() {
    for coding in Coding::ALL {
        let (sent, given) = Endless::response();
        let mut body = respond(&eager(), request(coding.as_str()), sent).await.into_body();
        assert_eq!(given.load(Ordering::Relaxed), 0, "nothing is read ahead");
        let mut got = 0;
        for _ in 0..20 {
            got += next(&mut body).await.len();
        }
        let taken = given.load(Ordering::Relaxed) * 4096;
        // The encoder holds back at most a block and a slice.
        assert!(taken <= got + (256 << 10), "{coding}: {taken} bytes taken for {got} given");
        drop(body);
        assert_eq!(Arc::strong_count(&given), 1, "{coding}");
    }
}

#[test]
fn other_tasks_run_between_slices() {
    let waker = Waker::noop();
    let layer = eager();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (sent, given) = Endless::response();
    let mut body = runtime.block_on(respond(&layer, request("gzip"), sent)).into_body();
    let mut since = 0;
    for _ in 0..200 {
        let before = given.load(Ordering::Relaxed);
        let polled = Pin::new(&mut body).poll_frame(&mut Context::from_waker(waker));
        since += (given.load(Ordering::Relaxed) - before) * 4096;
        assert!(since <= 64 << 10, "{since} bytes were encoded without a pause");
        if polled.is_pending() {
            since = 0;
        }
    }
}

#[tokio::test]
async fn streams_wait_while_all_threads_are_busy() {
    let layer = CompressLayer::new(Config { threads: 1, ..Config::default() }).unwrap();
    let sent = text(300_000);
    let mut all = tokio::task::JoinSet::new();
    for n in 0..60 {
        let coding = [Coding::Brotli, Coding::Zstd][n % 2];
        let (layer, sent) = (layer.clone(), sent.clone());
        all.spawn(async move {
            let mut body = respond(&layer, request(coding.as_str()), plain(pieces(&sent, 50_000))).await.into_body();
            // Some clients leave before the end. The others do not wait for them.
            if n % 7 == 3 {
                return drop(tokio::time::timeout(Duration::from_millis(1), body.frame()).await);
            }
            let encoded = body.collect(usize::MAX).await.unwrap();
            assert!(library(coding, &encoded) == sent, "{coding}");
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    assert!(layer.stats().overflowed > 0);
}
