//! §5.2.1 and §5.4: the directives of a request.

use dunlin_cache::RoutePolicy;

use crate::world::{Fields, World};

/// Returns `true` if a request with this `Cache-Control` gets a stored response of this age, whose
/// lifetime is 100 seconds.
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
async fn request_directives_restrict_and_extend_reuse() {
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
async fn request_directives_do_not_extend_what_the_origin_forbids() {
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
async fn a_route_may_ignore_request_directives() {
    let policy = || RoutePolicy { request_directives: false, ..RoutePolicy::default() };
    for control in ["no-cache", "no-store", "max-age=0"] {
        assert!(used_with(policy(), &[("cache-control", "max-age=100")], 50, control).await);
    }
}

#[tokio::test]
async fn pragma_is_ignored() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=100"), ("pragma", "no-cache")], "content");
    world.get("/a", &[]).await;
    assert!(world.get("/a", &[("pragma", "no-cache")]).await.is_hit());
}

#[tokio::test]
async fn requests_with_content_or_an_upgrade_bypass_the_cache() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=100")], "content");
    world.get("/a", &[]).await;
    for (field, detail) in [(("content-length", "3"), "request-content"), (("upgrade", "websocket"), "upgrade")] {
        let answer = world.get("/a", &[field]).await;
        assert_eq!(answer.cache_status(), format!("dunlin; fwd=bypass; fwd-status=200; detail={detail}"));
    }
    assert!(world.get("/a", &[("content-length", "0")]).await.is_hit());
}
