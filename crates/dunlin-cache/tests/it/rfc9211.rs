//! RFC 9211: `Cache-Status`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dunlin_cache::{Config, RoutePolicy};

use crate::world::{Fields, World, response};

async fn statuses(stored: Fields<'_>, request: Fields<'_>) -> (String, String) {
    let world = World::new();
    world.origin.reply(200, stored, "content");
    let first = world.get("/a", request).await.cache_status().to_owned();
    (first, world.get("/a", request).await.cache_status().to_owned())
}

#[tokio::test]
async fn the_details_of_stored_and_refused_responses() {
    let fresh = ("cache-control", "max-age=60");
    let miss = "dunlin; fwd=uri-miss; fwd-status=200";
    assert_eq!(statuses(&[fresh], &[]).await, (format!("{miss}; ttl=60; stored"), "dunlin; hit; ttl=60".into()));
    for (stored, request, detail) in [
        (&[("cache-control", "no-store")][..], &[][..], "no-store"),
        (&[("cache-control", "private")], &[], "private"),
        (&[fresh], &[("authorization", "x")], "authorization"),
        (&[fresh, ("set-cookie", "a=b")], &[], "set-cookie"),
        (&[fresh, ("vary", "*")], &[], "vary"),
        (&[], &[], "no-freshness"),
        (&[fresh, ("content-length", "99")], &[], "incomplete"),
    ] {
        let (first, second) = statuses(stored, request).await;
        assert_eq!(first, format!("{miss}; detail={detail}"));
        assert_eq!(second, first);
    }
}

#[tokio::test]
async fn a_paused_route_bypasses_the_cache() {
    let pause = Arc::new(AtomicBool::new(false));
    let policy = RoutePolicy {
        age: Some(Duration::from_secs(60)),
        groups: vec!["a".into()],
        pause: Some(pause.clone()),
        ..RoutePolicy::default()
    };
    let world = World::with(policy);
    world.origin.reply(200, &[], "content");
    for (paused, status, calls) in [
        (true, "dunlin; fwd=bypass; fwd-status=200; detail=paused", 1),
        (false, "dunlin; fwd=uri-miss; fwd-status=200; ttl=60; stored", 2),
        (true, "dunlin; fwd=bypass; fwd-status=200; detail=paused", 3),
        (false, "dunlin; hit; ttl=60", 3),
    ] {
        pause.store(paused, Ordering::Release);
        let answer = world.get("/a", &[]).await;
        assert_eq!((answer.cache_status(), world.origin.count()), (status, calls));
        assert_eq!(answer.field("cache-control"), "max-age=0", "the client freshness stays the same");
    }
}

#[tokio::test]
async fn the_forward_reasons() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60"), ("vary", "foo")], "content");
    let ask =
        async |method: &str, fields: Fields<'_>| world.fetch(method, "/a", fields).await.cache_status().to_owned();
    assert_eq!(ask("GET", &[]).await, "dunlin; fwd=uri-miss; fwd-status=200; ttl=60; stored");
    assert_eq!(ask("GET", &[("foo", "1")]).await, "dunlin; fwd=vary-miss; fwd-status=200; ttl=60; stored");
    assert_eq!(
        ask("GET", &[("cache-control", "no-cache")]).await,
        "dunlin; fwd=request; fwd-status=200; ttl=60; stored"
    );
    world.advance(61);
    assert_eq!(ask("GET", &[]).await, "dunlin; fwd=stale; fwd-status=200; ttl=60; stored");
    assert_eq!(ask("OPTIONS", &[]).await, "dunlin; fwd=method; fwd-status=200");
}

#[tokio::test]
async fn the_cache_status_of_caches_nearer_to_the_origin_comes_first() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60"), ("cache-status", "edge; hit")], "content");
    world.origin.reply(200, &[("cache-control", "no-store"), ("cache-status", "edge; hit")], "content");
    assert_eq!(
        world.get("/a", &[]).await.cache_status(),
        "edge; hit, dunlin; fwd=uri-miss; fwd-status=200; ttl=60; stored"
    );
    assert_eq!(world.get("/a", &[]).await.cache_status(), "edge; hit, dunlin; hit; ttl=60");
    assert_eq!(
        world.get("/b", &[]).await.cache_status(),
        "edge; hit, dunlin; fwd=uri-miss; fwd-status=200; detail=no-store"
    );
}

#[tokio::test]
async fn cache_status_contains_the_key_if_the_config_says_so() {
    let config = Config { tell_key: true, name: "edge".into(), ..Config::default() };
    let world = World::configured(config, RoutePolicy::default());
    world.origin.reply_with(|_| response(200, &[("cache-control", "max-age=60")], "content"));
    world.get("/a?b", &[]).await;
    let hit = world.get("/a?b", &[]).await;
    assert_eq!(hit.cache_status(), "edge; hit; ttl=60; key=\"http://example.com/a?b\"");
}
