//! Kept encodings.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_compress::{CompressLayer, Config, Levels};
use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, BodyId};
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::*;

fn identified(content: &Bytes, id: BodyId) -> Response<Body> {
    let mut sent = plain(Body::identified(content.clone(), id));
    sent.headers_mut().insert("etag", "\"v1\"".parse().unwrap());
    sent
}

#[tokio::test]
async fn an_encoding_is_made_once_for_each_coding() {
    let (layer, id, sent) = (CompressLayer::default(), BodyId::new(), text(20_000));
    for (times, coding) in Coding::ALL.into_iter().enumerate() {
        let mut first = None;
        for _ in 0..3 {
            let response = respond(&layer, request(coding.as_str()), identified(&sent, id)).await;
            assert_eq!(response.headers()["etag"], "W/\"v1\"");
            let encoded_id = response.body().id().unwrap();
            assert_ne!(encoded_id, id);
            assert_eq!(*first.get_or_insert(encoded_id), encoded_id, "the same bytes have the same id");
            let length = response.headers()["content-length"].to_str().unwrap().to_owned();
            let body = content(response).await;
            assert_eq!(length, body.len().to_string());
            assert!(tool(coding, &body) == sent);
        }
        assert_eq!(layer.stats().made, times as u64 + 1);
    }
    assert_eq!(layer.stats().kept, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_make_an_encoding_once() {
    let (layer, id, sent) = (CompressLayer::default(), BodyId::new(), text(400_000));
    let barrier = Arc::new(tokio::sync::Barrier::new(40));
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let (layer, sent, barrier) = (layer.clone(), sent.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                content(respond(&layer, request("br"), identified(&sent, id)).await).await
            })
        })
        .collect();
    let first = tool(Coding::Brotli, &{
        let mut bodies = Vec::new();
        for task in tasks {
            bodies.push(task.await.unwrap());
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
        bodies.remove(0)
    });
    assert!(first == sent);
    assert_eq!(layer.stats().made, 1);
}

#[tokio::test]
async fn the_work_goes_on_if_the_first_client_leaves() {
    let (layer, id, sent) = (CompressLayer::default(), BodyId::new(), text(2 << 20));
    let response = identified(&sent, id);
    let ready = poll_once(respond(&layer, request("gzip"), response));
    assert!(ready.is_none(), "long content goes to a thread");
    let response = respond(&layer, request("gzip"), identified(&sent, id)).await;
    assert!(tool(Coding::Gzip, &content(response).await) == sent);
    assert_eq!(layer.stats().made, 1);
}

/// Polls once, and drops the future.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(out) => Some(out),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_better_encoding_replaces_the_first() {
    let kept_level = Levels { gzip: 9, br: 9, zstd: 9 };
    let layer = CompressLayer::new(Config { kept_level, ..Config::default() }).unwrap();
    let (id, sent) = (BodyId::new(), text(30_000));
    for (times, coding) in Coding::ALL.into_iter().enumerate() {
        let mut first = 0;
        for _ in 0..20 {
            first =
                first.max(content(respond(&layer, request(coding.as_str()), identified(&sent, id)).await).await.len());
        }
        while layer.stats().improved <= times as u64 {
            // A background thread makes it.
            std::thread::sleep(Duration::from_millis(1));
        }
        let best = content(respond(&layer, request(coding.as_str()), identified(&sent, id)).await).await;
        assert!(best.len() < first && tool(coding, &best) == sent, "{coding}");
    }
    assert_eq!((layer.stats().made, layer.stats().improved), (3, 3), "each once, although it was requested often");
}

#[tokio::test]
async fn content_that_gets_no_shorter_is_not_encoded_again() {
    let (layer, id, sent) = (CompressLayer::default(), BodyId::new(), noise(20_000));
    for _ in 0..3 {
        let response = respond(&layer, request("gzip"), identified(&sent, id)).await;
        assert_eq!(response.headers()["etag"], "\"v1\"");
        assert_eq!((response.body().id(), response.headers().contains_key("content-encoding")), (Some(id), false));
    }
    assert_eq!(layer.stats().made, 1);
}

#[tokio::test]
async fn the_store_stays_within_its_limit() {
    let layer = CompressLayer::new(Config { store: 100_000, ..Config::default() }).unwrap();
    for _ in 0..200 {
        respond(&layer, request("gzip"), identified(&text(10_000), BodyId::new())).await;
    }
    let stats = layer.stats();
    assert_eq!(stats.made, 200);
    assert!(stats.kept_bytes <= 100_000 && stats.kept > 0, "{stats:?}");

    let none = CompressLayer::new(Config { store: 0, ..Config::default() }).unwrap();
    let response = respond(&none, request("gzip"), identified(&text(10_000), BodyId::new())).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(none.stats().kept, 0);
}

#[tokio::test]
async fn head_has_the_length_of_the_kept_encoding() {
    let (layer, id, sent) = (CompressLayer::default(), BodyId::new(), text(20_000));
    let length = content(respond(&layer, request("br"), identified(&sent, id)).await).await.len();
    let head = Request::head("/").header("accept-encoding", "br").body(Body::empty()).unwrap();
    let response = respond(&layer, head, identified(&sent, id)).await;
    assert_eq!(response.headers()["content-length"], length.to_string().as_str());
    assert_eq!(content(response).await, "");
}

#[tokio::test]
async fn all_services_of_a_layer_share_its_encodings() {
    let (layer, id, sent) = (CompressLayer::default(), BodyId::new(), text(20_000));
    for _ in 0..2 {
        let sent = sent.clone();
        let inner = service_fn(move |_: Request<Body>| std::future::ready(Ok::<_, Infallible>(identified(&sent, id))));
        layer.clone().layer(inner).oneshot(request("gzip")).await.unwrap();
    }
    assert_eq!(layer.stats().made, 1);
}
