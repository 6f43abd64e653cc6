//! RFC 9875: groups of answers, and the races of fills with invalidations.

use std::sync::Arc;

use dunlin_cache::RoutePolicy;
use tokio::sync::Notify;

use crate::world::{World, request, response, settle};

fn grouped() -> RoutePolicy {
    RoutePolicy { groups: vec!["users".into(), "all".into()], ..RoutePolicy::default() }
}

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test]
async fn a_routes_groups() {
    let world = World::with(grouped());
    world.origin.reply(200, &[FRESH], "content");
    for (group, gone) in [("other", false), ("users", true), ("all", true)] {
        world.get("/a", &[]).await;
        world.cache.invalidate_groups(&[group]);
        assert_eq!(!world.get("/a", &[]).await.is_hit(), gone, "{group}");
    }
}

#[tokio::test]
async fn what_the_route_tells_clients_is_not_taken_for_the_origins_word() {
    let world = World::with(RoutePolicy { age: Some(std::time::Duration::from_secs(60)), ..grouped() });
    let validated = [("etag", "\"a\"")];
    world.origin.reply(200, &validated, "content").reply(304, &validated, "");
    for (asked, hit) in [(1, false), (1, true), (2, false), (2, true), (3, false), (3, true)] {
        let answer = world.get("/a", &[]).await;
        assert_eq!(answer.field("cache-control"), "max-age=0");
        assert_eq!((world.origin.count(), answer.is_hit(), answer.text()), (asked, hit, "content"));
        if hit {
            // What a 304 freshens is fresh for as long as the route says, whatever clients are
            // told.
            world.advance(61);
        }
    }
}

#[tokio::test]
async fn a_route_may_invalidate() {
    let world = World::with(grouped());
    let writes = world.route(RoutePolicy { invalidates: vec!["users".into()], ..RoutePolicy::default() });
    world.origin.reply_with(|request| {
        let status = request.headers().get("status").map_or(200, |status| status.to_str().unwrap().parse().unwrap());
        response(status, &[FRESH], "content")
    });
    for (method, status, gone) in [("POST", "409", false), ("GET", "200", false), ("POST", "201", true)] {
        world.get("/a", &[]).await;
        writes.ask(method, "/b", &[("status", status)]).await;
        assert_eq!(!world.get("/a", &[]).await.is_hit(), gone, "{method} {status}");
    }
}

#[tokio::test]
async fn the_origins_groups_are_its_own() {
    let world = World::new();
    world.origin.reply_with(|request| match request.method().as_str() {
        "GET" => response(200, &[FRESH, ("cache-groups", "\"one\", \"two\";x=1, three")], "content"),
        _ => response(200, &[("cache-group-invalidation", request.headers()["told"].to_str().unwrap())], ""),
    });
    for (host, told, gone) in [
        ("example.com", "\"two\"", true),
        ("example.com", "\"four\", \"one\"", true),
        ("example.com", "\"four\"", false),
        // Not a string, so no member; and what is no list counts as not there.
        ("example.com", "three", false),
        ("example.com", "\"one", false),
        ("other.com", "\"one\"", false),
    ] {
        world.get("/a", &[]).await;
        world.ask("POST", "/b", &[("host", host), ("told", told)]).await;
        assert_eq!(!world.get("/a", &[]).await.is_hit(), gone, "{host} {told}");
    }
    // The operator's word is for all origins.
    world.get("/a", &[]).await;
    world.cache.invalidate_groups(&["one"]);
    assert!(!world.get("/a", &[]).await.is_hit());
    // A safe request's answer invalidates nothing (§3).
    world.origin.forget().reply(200, &[FRESH, ("cache-group-invalidation", "\"one\"")], "");
    world.get("/c", &[]).await;
    assert!(world.get("/a", &[]).await.is_hit());
}

/// What a fill races with.
type Event = fn(&World);

const EVENTS: [Event; 3] = [
    |world| world.cache.invalidate_groups(&["users"]),
    |world| {
        world.cache.purge_url(&"http://example.com/a".parse().unwrap());
    },
    |world| {
        world.cache.purge_all();
    },
];

#[tokio::test]
async fn a_fill_that_began_before_is_answered_but_not_kept() {
    for event in EVENTS {
        let world = World::with(grouped());
        let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let gates = (Arc::clone(&asked), Arc::clone(&go));
        world.origin.reply_later(move || {
            let (asked, go) = (Arc::clone(&gates.0), Arc::clone(&gates.1));
            async move {
                asked.notify_one();
                go.notified().await;
                response(200, &[FRESH], "old")
            }
        });
        world.origin.reply(200, &[FRESH], "new");
        let first = tokio::spawn({
            let world = world.clone();
            async move { world.get("/a", &[]).await }
        });
        asked.notified().await;
        event(&world);
        // Who comes after it does not wait for what was asked before.
        assert_eq!(world.get("/a", &[]).await.text(), "new");
        go.notify_one();
        let first = first.await.unwrap();
        assert_eq!(first.text(), "old");
        assert_eq!(first.cache_status(), "dunlin; fwd=uri-miss; fwd-status=200; ttl=60");
        let hit = world.get("/a", &[]).await;
        assert_eq!((hit.is_hit(), hit.text()), (true, "new"));
        assert_eq!(world.cache.stats().overtaken, 1);
    }
}

#[tokio::test]
async fn a_stream_that_began_before_is_not_kept_nor_joined() {
    for event in EVENTS {
        let world = World::with(grouped());
        let (sender, body) = crate::collapse::stream();
        let body = std::sync::Mutex::new(Some(body));
        world.origin.reply_with(move |_| response(200, &[FRESH], body.lock().unwrap().take().unwrap()));
        world.origin.reply(200, &[FRESH], "new");
        let first = world.open(request("GET", "/a", &[])).await;
        sender.send(Ok("ol".into())).unwrap();
        event(&world);
        assert_eq!(world.get("/a", &[]).await.text(), "new");
        sender.send(Ok("d".into())).unwrap();
        drop(sender);
        assert_eq!(first.into_body().collect(99).await.unwrap(), "old");
        settle().await;
        assert_eq!(world.get("/a", &[]).await.text(), "new");
    }
}

#[tokio::test]
async fn a_validation_that_began_before_validates_nothing() {
    for event in EVENTS {
        let world = World::with(grouped());
        world.origin.reply(200, &[("cache-control", "max-age=1"), ("etag", "\"a\"")], "old");
        world.get("/a", &[]).await;
        world.advance(2);
        let cache = world.clone();
        world.origin.forget().reply_with(move |_| {
            event(&cache);
            response(304, &[FRESH, ("etag", "\"a\"")], "")
        });
        world.origin.reply(200, &[FRESH], "new");
        world.get("/a", &[]).await;
        assert_eq!(world.get("/a", &[]).await.text(), "new");
    }
}
