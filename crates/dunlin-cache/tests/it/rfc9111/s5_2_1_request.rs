//! §5.2.1 and §5.4: what a request asks of the cache.

use dunlin_cache::RoutePolicy;

use crate::world::{Fields, World};

/// Whether an answer of this age, fresh for 100 seconds, is used for a request with this
/// `Cache-Control`.
async fn used(age: u64, control: &str) -> bool {
    used_with(RoutePolicy::default(), &[("cache-control", "max-age=100")], age, control).await
}

async fn used_with(policy: RoutePolicy, stored: Fields<'_>, age: u64, control: &str) -> bool {
    let world = World::with(policy);
    world.origin.reply(200, stored, "content");
    world.get("/a", &[]).await;
    world.advance(age);
    world.get("/a", &[("cache-control", control)]).await.is_hit()
}

#[tokio::test]
async fn directives_narrow_and_widen() {
    for (age, control, expect) in [
        (0, "max-age=0", true),
        (1, "max-age=0", false),
        (50, "max-age=60", true),
        (70, "max-age=60", false),
        (50, "min-fresh=50", true),
        (50, "min-fresh=51", false),
        (0, "no-cache", false),
        (0, "no-store", false),
        (50, "only-if-cached", true),
        (110, "max-stale", true),
        (110, "max-stale=10", true),
        (111, "max-stale=10", false),
        (111, "max-stale=10, min-fresh=1", false),
        (50, "nothing-known", true),
    ] {
        assert_eq!(used(age, control).await, expect, "{age} {control}");
    }
}

#[tokio::test]
async fn the_origins_word_is_not_widened() {
    for forbids in ["must-revalidate", "proxy-revalidate", "s-maxage=100", "no-cache"] {
        let stored = format!("max-age=100, {forbids}");
        let stored = [("cache-control", stored.as_str()), ("etag", "\"a\"")];
        assert!(!used_with(RoutePolicy::default(), &stored, 110, "max-stale=50").await, "{forbids}");
    }
}

#[tokio::test]
async fn only_if_cached_is_504_without() {
    let world = World::new();
    let answer = world.get("/a", &[("cache-control", "only-if-cached")]).await;
    assert_eq!((answer.status.as_u16(), world.origin.count()), (504, 0));
    assert_eq!(answer.cache_status(), "dunlin; detail=only-if-cached");
}

#[tokio::test]
async fn a_route_may_leave_them_out_of_account() {
    let policy = || RoutePolicy { request_directives: false, ..RoutePolicy::default() };
    for control in ["no-cache", "no-store", "max-age=0"] {
        assert!(used_with(policy(), &[("cache-control", "max-age=100")], 50, control).await);
    }
}

#[tokio::test]
async fn pragma_says_nothing() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=100"), ("pragma", "no-cache")], "content");
    world.get("/a", &[]).await;
    assert!(world.get("/a", &[("pragma", "no-cache")]).await.is_hit());
}

#[tokio::test]
async fn requests_with_content_or_another_protocol_pass() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=100")], "content");
    world.get("/a", &[]).await;
    for (field, detail) in [(("content-length", "3"), "request-content"), (("upgrade", "websocket"), "upgrade")] {
        let answer = world.get("/a", &[field]).await;
        assert_eq!(answer.cache_status(), format!("dunlin; fwd=bypass; fwd-status=200; detail={detail}"));
    }
    assert!(world.get("/a", &[("content-length", "0")]).await.is_hit());
}
