//! Purges, and the number of responses that each removes.

use dunlin_cache::RoutePolicy;
use http::Uri;

use crate::world::World;

/// A cache with some responses of two hosts.
async fn filled() -> World {
    let world = World::with(RoutePolicy { groups: vec!["all".into()], ..RoutePolicy::default() });
    world.origin.reply(200, &[("cache-control", "max-age=60"), ("vary", "x-u")], "content");
    for path in ["/blog", "/blog/1", "/blog/2?page=3", "/blogger", "http://other.example/blog/1"] {
        world.get(path, &[]).await;
    }
    world.get("/blog/1", &[("x-u", "1")]).await;
    world
}

#[tokio::test]
async fn a_purge_returns_the_number_of_removed_responses() {
    type Purge = fn(&World) -> u64;
    async fn check(purge: Purge, removed: u64) {
        let world = filled().await;
        assert_eq!(purge(&world), removed);
        assert_eq!(world.cache.responses(), 6 - removed);
        assert_eq!(purge(&world), 0, "the second time");
    }
    check(|world| world.cache.purge_all(), 6).await;
    check(|world| world.cache.purge_groups(&["all", "none"]), 6).await;
    check(|world| world.cache.purge_groups(&["none"]), 0).await;
    check(|world| world.cache.purge_url(&Uri::from_static("http://example.com/blog/1")), 2).await;
    check(|world| world.cache.purge_url(&Uri::from_static("/blog/1")), 3).await;
    check(|world| world.cache.purge_prefix(&Uri::from_static("http://example.com/blog/")), 3).await;
    check(|world| world.cache.purge_prefix(&Uri::from_static("HTTP://Example.com/blog")), 5).await;
    check(|world| world.cache.purge_prefix(&Uri::from_static("https://example.com/")), 0).await;
    check(|world| world.cache.purge_prefix(&Uri::from_static("/blog/")), 4).await;
    check(|world| world.cache.purge_prefix(&Uri::from_static("/")), 6).await;
}

#[tokio::test]
async fn a_fill_in_flight_is_not_stored_after_a_purge_by_prefix() {
    let world = World::new();
    let other = world.clone();
    world.origin.reply_with(move |_| {
        // The purge comes between the request and its response.
        other.cache.purge_prefix(&Uri::from_static("/blog/"));
        crate::world::response(200, &[("cache-control", "max-age=60")], "content")
    });
    world.get("/blog/1", &[]).await;
    assert_eq!((world.cache.responses(), world.cache.stats().overtaken), (0, 1));
    world.get("/other", &[]).await;
    assert_eq!(world.cache.responses(), 1);
}
