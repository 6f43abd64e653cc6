//! RFC 9875: groups of responses, and the races of fills with invalidations.

use std::sync::Arc;

use dunlin_cache::RoutePolicy;
use tokio::sync::Notify;

use crate::world::{World, request, response, settle};

fn grouped() -> RoutePolicy {
    RoutePolicy { groups: vec!["users".into(), "all".into()], ..RoutePolicy::default() }
}

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test]
async fn an_invalidation_reaches_the_groups_of_the_route() {
    let world = World::with(grouped());
    world.origin.reply(200, &[FRESH], "content");
    for (group, gone) in [("other", false), ("users", true), ("all", true)] {
        world.get("/a", &[]).await;
        world.cache.invalidate_groups(&[group]);
        assert_eq!(!world.get("/a", &[]).await.is_hit(), gone, "{group}");
    }
}

#[tokio::test]
async fn client_freshness_is_not_taken_for_the_origins() {
    let world = World::with(RoutePolicy { age: Some(std::time::Duration::from_secs(60)), ..grouped() });
    let validated = [("etag", "\"a\"")];
    world.origin.reply(200, &validated, "content").reply(304, &validated, "");
    for (calls, hit) in [(1, false), (1, true), (2, false), (2, true), (3, false), (3, true)] {
        let answer = world.get("/a", &[]).await;
        assert_eq!(answer.field("cache-control"), "max-age=0");
        assert_eq!((world.origin.count(), answer.is_hit(), answer.text()), (calls, hit, "content"));
        if hit {
            // A 304 freshens for the route's age, not for the one that clients see.
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
        writes.fetch(method, "/b", &[("status", status)]).await;
        assert_eq!(!world.get("/a", &[]).await.is_hit(), gone, "{method} {status}");
    }
}

#[tokio::test]
async fn the_groups_of_a_response_are_scoped_by_its_origin() {
    let world = World::new();
    world.origin.reply_with(|request| match request.method().as_str() {
        "GET" => response(200, &[FRESH, ("cache-groups", "\"one\", \"two\";x=1, three")], "content"),
        _ => response(200, &[("cache-group-invalidation", request.headers()["groups"].to_str().unwrap())], ""),
    });
    for (host, groups, gone) in [
        ("example.com", "\"two\"", true),
        ("example.com", "\"four\", \"one\"", true),
        ("example.com", "\"four\"", false),
        // A member that is no string is ignored, and so is a field that is no list.
        ("example.com", "three", false),
        ("example.com", "\"one", false),
        ("other.com", "\"one\"", false),
    ] {
        world.get("/a", &[]).await;
        world.fetch("POST", "/b", &[("host", host), ("groups", groups)]).await;
        assert_eq!(!world.get("/a", &[]).await.is_hit(), gone, "{host} {groups}");
    }
    // An invalidation by the application applies to all origins.
    world.get("/a", &[]).await;
    world.cache.invalidate_groups(&["one"]);
    assert!(!world.get("/a", &[]).await.is_hit());
    // RFC 9875 §3: the response to a safe request invalidates nothing.
    world.origin.forget().reply(200, &[FRESH, ("cache-group-invalidation", "\"one\"")], "");
    world.get("/c", &[]).await;
    assert!(world.get("/a", &[]).await.is_hit());
}

/// An invalidation that a fill races with.
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
async fn a_fill_from_before_an_invalidation_is_answered_but_not_stored() {
    for event in EVENTS {
        let world = World::with(grouped());
        let (called, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let gates = (Arc::clone(&called), Arc::clone(&go));
        world.origin.reply_later(move || {
            let (called, go) = (Arc::clone(&gates.0), Arc::clone(&gates.1));
            async move {
                called.notify_one();
                go.notified().await;
                response(200, &[FRESH], "old")
            }
        });
        world.origin.reply(200, &[FRESH], "new");
        let first = tokio::spawn({
            let world = world.clone();
            async move { world.get("/a", &[]).await }
        });
        called.notified().await;
        event(&world);
        // A later request does not follow the fill from before.
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
async fn a_stream_from_before_an_invalidation_is_neither_stored_nor_joined() {
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
async fn a_validation_from_before_an_invalidation_validates_nothing() {
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
