//! §4.2.4 and RFC 5861: the use of stale responses.

use std::time::Duration;

use dunlin_cache::{Config, RoutePolicy};

use crate::world::{Fields, World, settle};

/// The result of a request while the origin fails and the stored response is five seconds stale:
/// `true` if the client gets the stored response.
async fn stale(policy: RoutePolicy, stored: &str, request: Fields<'_>, status: Option<u16>) -> Result<bool, ()> {
    let world = World::with(policy);
    world.origin.reply(200, &[("cache-control", stored)], "content");
    match status {
        Some(status) => world.origin.reply(status, &[], "failed"),
        None => world.origin.refuse(),
    };
    world.get("/a", &[]).await;
    world.advance(15);
    let answer = world.send(crate::world::request("GET", "/a", request)).await.map_err(|_| ())?;
    Ok(answer.text() == "content" && answer.status == 200)
}

#[tokio::test]
async fn a_stale_response_replaces_an_unreachable_origin() {
    let default = RoutePolicy::default;
    assert_eq!(stale(default(), "max-age=10", &[], None).await, Ok(true));
    assert_eq!(stale(default(), "max-age=10", &[], Some(502)).await, Ok(true));
    assert_eq!(stale(default(), "max-age=10", &[], Some(504)).await, Ok(true));
    // These statuses come from an origin that can be reached.
    assert_eq!(stale(default(), "max-age=10", &[], Some(503)).await, Ok(false));
    assert_eq!(stale(default(), "max-age=10", &[], Some(404)).await, Ok(false));
    for forbids in ["must-revalidate", "proxy-revalidate", "s-maxage=10", "stale-if-error=4", "no-cache"] {
        assert_eq!(stale(default(), &format!("max-age=10, {forbids}"), &[], None).await, Err(()), "{forbids}");
    }
}

#[tokio::test]
async fn rfc5861_s4_stale_if_error() {
    let default = RoutePolicy::default;
    for status in [500, 502, 503, 504] {
        assert_eq!(stale(default(), "max-age=10, stale-if-error=60", &[], Some(status)).await, Ok(true), "{status}");
        assert_eq!(stale(default(), "max-age=10, stale-if-error=5", &[], Some(status)).await, Ok(false), "{status}");
    }
    assert_eq!(stale(default(), "max-age=10, stale-if-error=60", &[], None).await, Ok(true));
    assert_eq!(stale(default(), "max-age=10, stale-if-error=60, must-revalidate", &[], Some(503)).await, Ok(false));
    assert_eq!(stale(default(), "max-age=10", &[("cache-control", "stale-if-error=60")], Some(503)).await, Ok(true));
    let route = RoutePolicy { stale_if_error: Some(Duration::from_secs(60)), ..default() };
    assert_eq!(stale(route, "max-age=10", &[], Some(500)).await, Ok(true));
}

#[tokio::test]
async fn an_invalidated_response_does_not_replace_an_error() {
    let world = World::with(RoutePolicy { groups: vec!["g".into()], ..RoutePolicy::default() });
    world.origin.reply(200, &[("cache-control", "max-age=10, stale-if-error=60")], "content").refuse();
    world.get("/a", &[]).await;
    world.cache.invalidate_groups(&["g"]);
    assert!(world.send(crate::world::request("GET", "/a", &[])).await.is_err());
}

#[tokio::test]
async fn no_stale_response_is_used_if_disconnected_is_zero() {
    let config = Config { disconnected: Duration::ZERO, ..Config::default() };
    let world = World::configured(config, RoutePolicy::default());
    world.origin.reply(200, &[("cache-control", "max-age=10")], "content").refuse();
    world.get("/a", &[]).await;
    world.advance(15);
    assert!(world.send(crate::world::request("GET", "/a", &[])).await.is_err());
}

#[tokio::test]
async fn rfc5861_s3_stale_while_revalidate() {
    let world = World::new();
    let control = [("cache-control", "max-age=10, stale-while-revalidate=5"), ("etag", "\"a\"")];
    world.origin.reply(200, &control, "one").reply(200, &control, "two");
    world.get("/a", &[]).await;
    world.advance(12);
    let stale = world.get("/a", &[]).await;
    assert_eq!((stale.text(), stale.cache_status()), ("one", "dunlin; hit; ttl=-2"));
    settle().await;
    assert_eq!(world.origin.last().headers()["if-none-match"], "\"a\"");
    assert_eq!(world.get("/a", &[]).await.text(), "two");
    assert_eq!(world.origin.count(), 2);
    // After that time the origin is called first.
    world.origin.forget().reply(200, &control, "three");
    world.advance(16);
    assert_eq!(world.get("/a", &[]).await.text(), "three");
}

#[tokio::test]
async fn cache_status_says_that_a_response_was_stale() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=10, stale-if-error=60")], "content").reply(503, &[], "");
    world.get("/a", &[]).await;
    world.advance(15);
    let answer = world.get("/a", &[]).await;
    assert_eq!(answer.cache_status(), "dunlin; fwd=stale; fwd-status=503; ttl=-5; detail=stale-if-error");
    assert_eq!(answer.field("age"), "15");
}
