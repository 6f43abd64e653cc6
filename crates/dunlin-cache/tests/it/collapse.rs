//! Collapsed requests: one fill for all requests for the same.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dunlin_cache::{Config, RoutePolicy};
use dunlin_http::{Body, BoxError};
use futures_util::future::join_all;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{Notify, mpsc};

use crate::world::{Fields, World, headers, request, response, settle};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

type Chunk = Result<Bytes, BoxError>;

/// A body of one chunk with trailers.
fn with_trailers(content: &'static str, fields: Fields<'_>) -> Body {
    let (data, trailers) = (Frame::data(Bytes::from_static(content.as_bytes())), Frame::trailers(headers(fields)));
    Body::new(StreamBody::new(futures_util::stream::iter([Ok::<_, BoxError>(data), Ok(trailers)])))
}

/// Reads a body: its content and its trailers.
async fn read(response: Response<Body>) -> (Bytes, HeaderMap) {
    let all = BodyExt::collect(response.into_body()).await.unwrap();
    let trailers = all.trailers().cloned().unwrap_or_default();
    (all.to_bytes(), trailers)
}

struct Stream(mpsc::UnboundedReceiver<Chunk>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

/// A body that a test writes.
pub(crate) fn stream() -> (mpsc::UnboundedSender<Chunk>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Body::new(Stream(receiver)))
}

/// Makes the origin's next response stream.
fn streams(world: &World, fields: Fields<'static>) -> mpsc::UnboundedSender<Chunk> {
    let (sender, body) = stream();
    let body = std::sync::Mutex::new(Some(body));
    world.origin.reply_with(move |_| response(200, fields, body.lock().unwrap().take().unwrap_or_default()));
    sender
}

/// Makes the origin's next response wait for a notification.
fn waits(world: &World, fields: Fields<'static>, body: &'static str) -> Arc<Notify> {
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    world.origin.reply_later(move || {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            response(200, fields, body)
        }
    });
    go
}

async fn next(body: &mut Body) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn a_thousand_clients_on_a_cold_key_are_one_request() {
    let world = World::new();
    let go = waits(&world, &[FRESH], "content");
    let clients = join_all((0..1000).map(|_| world.get("/a", &[])));
    let (answers, ()) = tokio::join!(clients, async {
        settle().await;
        go.notify_one();
    });
    assert_eq!(world.origin.count(), 1);
    let collapsed = "dunlin; fwd=uri-miss; fwd-status=200; ttl=60; stored; collapsed";
    assert_eq!(answers.iter().filter(|answer| answer.cache_status() == collapsed).count(), 999);
    assert!(answers.iter().all(|answer| answer.text() == "content"));
    assert_eq!(world.cache.stats().collapsed, 999);
}

#[tokio::test]
async fn a_fill_that_ended_after_the_look_up_answers_the_request() {
    let world = World::new();
    world.origin.reply(200, &[FRESH], "content");
    // The look-up happens in the call, and the join when the future is polled.
    let late = world.handle(request("GET", "/a", &[]));
    world.get("/a", &[]).await;
    let late = late.await.unwrap().into_response();
    assert_eq!(late.headers()["cache-status"], "dunlin; hit; ttl=60");
    assert_eq!((late.into_body().as_bytes(), world.origin.count()), (Some(&b"content"[..]), 1));
}

#[tokio::test]
async fn all_clients_read_a_body_while_it_arrives() {
    let world = World::new();
    let sender = streams(&world, &[FRESH]);
    let mut first = world.open(request("GET", "/a", &[])).await.into_body();
    sender.send(Ok("one ".into())).unwrap();
    assert_eq!(next(&mut first).await, "one ");
    let mut second = world.open(request("GET", "/a", &[])).await.into_body();
    assert_eq!(next(&mut second).await, "one ");
    sender.send(Ok("two".into())).unwrap();
    assert_eq!((next(&mut first).await, next(&mut second).await), ("two".into(), "two".into()));
    drop(sender);
    assert!(first.frame().await.is_none() && second.frame().await.is_none());
    settle().await;
    let hit = world.get("/a", &[]).await;
    assert_eq!((hit.is_hit(), hit.text(), world.origin.count()), (true, "one two", 1));
}

#[tokio::test]
async fn trailers_are_shared_and_stored() {
    const SHARED: Fields<'_> = &[("server-timing", "db;dur=3"), ("digest", "sha-256=x")];
    let received = [SHARED, &[("set-cookie", "a=b"), ("secret", "1"), ("connection", "close")]].concat();
    for partly in [false, true] {
        let world = World::new();
        let fields: Fields<'static> =
            if partly { &[("cache-control", "max-age=60, private=\"secret\"")] } else { &[FRESH] };
        let received: Vec<_> = received.iter().copied().filter(|(name, _)| partly || *name != "secret").collect();
        world.origin.reply_with(move |_| response(200, fields, with_trailers("content", &received)));
        let (first, second) =
            tokio::join!(world.open(request("GET", "/a", &[])), world.open(request("GET", "/a", &[])));
        for response in [first, second] {
            assert_eq!(read(response).await, ("content".into(), headers(SHARED)));
        }
        settle().await;
        for (name, value) in [("x", "y"), ("range", "bytes=100-")] {
            let hit = world.open(request("GET", "/a", &[(name, value)])).await;
            match name {
                "x" => assert_eq!(read(hit).await, ("content".into(), headers(SHARED))),
                _ => assert_eq!((hit.status(), hit.body().len()), (StatusCode::RANGE_NOT_SATISFIABLE, Some(0))),
            }
        }
        let part = world.open(request("GET", "/a", &[("range", "bytes=0-2")])).await;
        assert_eq!(read(part).await, ("con".into(), HeaderMap::new()));
        assert_eq!(world.origin.count(), 1);
    }
}

#[tokio::test]
async fn a_fill_goes_on_when_all_clients_have_left() {
    let world = World::new();
    let go = waits(&world, &[FRESH], "content");
    let first = tokio::spawn({
        let world = world.clone();
        async move { world.get("/a", &[]).await }
    });
    settle().await;
    first.abort();
    settle().await;
    go.notify_one();
    settle().await;
    assert!(world.get("/a", &[]).await.is_hit());

    world.origin.forget();
    let sender = streams(&world, &[FRESH]);
    drop(world.open(request("GET", "/b", &[])).await);
    sender.send(Ok("stored".into())).unwrap();
    drop(sender);
    settle().await;
    let hit = world.get("/b", &[]).await;
    assert_eq!((hit.is_hit(), hit.text()), (true, "stored"));
}

#[tokio::test]
async fn a_response_that_must_not_be_shared_is_not() {
    for private in [&[("cache-control", "private")][..], &[FRESH, ("set-cookie", "a=b")], &[FRESH, ("vary", "*")]] {
        let world = World::new();
        let go = waits(&world, private, "mine");
        let clients = join_all((0..10).map(|_| world.get("/a", &[])));
        let (answers, ()) = tokio::join!(clients, async {
            for _ in 0..10 {
                settle().await;
                go.notify_waiters();
            }
        });
        assert_eq!((answers.len(), world.origin.count()), (10, 10));
        assert!(!answers.iter().any(|answer| answer.cache_status().contains("collapsed")));
        // From now on the requests are not collapsed.
        let before = world.origin.count();
        let clients = join_all((0..3).map(|_| world.get("/a", &[])));
        let calls = async {
            settle().await;
            let calls = world.origin.count() - before;
            go.notify_waiters();
            calls
        };
        assert_eq!(tokio::join!(clients, calls).1, 3);
    }
}

#[tokio::test]
async fn a_follower_of_another_variant_is_forwarded_again() {
    let world = World::new();
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    world.origin.reply_later(move || {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            response(200, &[FRESH, ("vary", "foo")], "first")
        }
    });
    world.origin.reply_with(|request| {
        let foo = request.headers()["foo"].to_str().unwrap().to_owned();
        response(200, &[FRESH, ("vary", "foo")], foo)
    });
    let clients = join_all((0..30).map(|at| {
        let world = world.clone();
        async move { world.get("/a", &[("foo", ["1", "2", "3"][at % 3])]).await.text().to_owned() }
    }));
    let (answers, ()) = tokio::join!(clients, async {
        settle().await;
        go.notify_one();
    });
    for (at, text) in answers.iter().enumerate() {
        assert_eq!(text, ["first", "2", "3"][at % 3]);
    }
    assert_eq!(world.origin.count(), 3);
}

#[tokio::test]
async fn after_a_failed_fill_each_request_is_forwarded() {
    let world = World::new();
    world.origin.refuse();
    let answers = join_all((0..5).map(|_| world.send(request("GET", "/a", &[])))).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(world.origin.count(), 5);
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_longer_than_the_lock_timeout() {
    let config = Config { lock_timeout: Duration::from_secs(2), ..Config::default() };
    let world = World::configured(config, RoutePolicy::default());
    let _never = waits(&world, &[FRESH], "slow");
    world.origin.reply(200, &[FRESH], "quick");
    let slow = tokio::spawn({
        let world = world.clone();
        async move { world.get("/a", &[]).await }
    });
    settle().await;
    let quick = world.get("/a", &[]).await;
    assert_eq!(quick.text(), "quick");
    assert_eq!(quick.cache_status(), "dunlin; fwd=uri-miss; fwd-status=200; stored; detail=lock-timeout");
    // Its response is stored all the same.
    assert!(world.get("/a", &[]).await.is_hit());
    slow.abort();
}

#[tokio::test]
async fn a_body_that_breaks_off_fails_for_all_and_is_not_stored() {
    let world = World::new();
    let sender = streams(&world, &[FRESH]);
    let first = world.open(request("GET", "/a", &[])).await.into_body();
    let second = world.open(request("GET", "/a", &[])).await.into_body();
    sender.send(Ok("start".into())).unwrap();
    sender.send(Err("broken".into())).unwrap();
    assert!(first.collect(99).await.is_err() && second.collect(99).await.is_err());
    settle().await;
    world.origin.forget().reply(200, &[FRESH], "whole");
    assert_eq!(world.get("/a", &[]).await.text(), "whole");
}

#[tokio::test]
async fn a_too_large_body_streams_at_the_pace_of_the_slowest_reader() {
    let config = Config { max_entry: 1 << 20, ..Config::default() };
    let world = World::configured(config, RoutePolicy::default());
    let sender = streams(&world, &[FRESH]);
    let mut first = world.open(request("GET", "/a", &[])).await.into_body();
    let mut second = world.open(request("GET", "/a", &[])).await.into_body();
    assert!(!first.is_end_stream());
    for _ in 0..100 {
        sender.send(Ok(vec![7; 64 << 10].into())).unwrap();
    }
    drop(sender);
    settle().await;
    // A client that comes now cannot read the body from the beginning.
    world.origin.forget().reply(200, &[("cache-control", "no-store")], "late");
    assert_eq!(world.get("/a", &[]).await.text(), "late");
    let (mut one, mut two) = (0, 0);
    for _ in 0..100 {
        one += next(&mut first).await.len();
        two += next(&mut second).await.len();
    }
    assert_eq!((one, two), (100 << 16, 100 << 16));
    assert!(first.frame().await.is_none() && second.frame().await.is_none());
    assert_eq!(world.cache.stats().stored, 0);
}

#[tokio::test]
async fn a_response_with_a_too_large_content_length_is_not_shared() {
    let config = Config { max_entry: 4, ..Config::default() };
    let world = World::configured(config, RoutePolicy::default());
    world.origin.reply(200, &[FRESH], "content");
    let answer = world.get("/a", &[]).await;
    assert_eq!(answer.cache_status(), "dunlin; fwd=uri-miss; fwd-status=200; detail=too-large");
    assert!(!world.get("/a", &[]).await.is_hit());
}

#[tokio::test]
async fn validations_are_collapsed_too() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=1"), ("etag", "\"a\"")], "content");
    world.get("/a", &[]).await;
    world.advance(2);
    world.origin.forget().reply(304, &[FRESH, ("etag", "\"a\"")], "");
    let answers = join_all((0..10).map(|_| world.get("/a", &[]))).await;
    assert!(answers.iter().all(|answer| answer.text() == "content" && answer.status == 200));
    assert_eq!(world.origin.count(), 2);
}
