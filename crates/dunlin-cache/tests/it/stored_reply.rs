//! Hits as stored replies, whose head was written when it was stored.

use std::time::Duration;

use dunlin_cache::RoutePolicy;
use dunlin_http::Reply;

use crate::world::{Fields, World, date, request};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// Compares a hit as a stored reply with the same hit as a response. Returns `false` if the hit is
/// no stored reply.
async fn hit(world: &World, (status, stored): (u16, Fields<'_>), method: &str, request_fields: Fields<'_>) -> bool {
    world.origin.reply(status, stored, "content");
    world.get("/a", &[]).await;
    for age in [0, 3] {
        world.advance(age);
        let Reply::Stored(reply) = world.reply(request(method, "/a", request_fields)).await else { return false };
        let mut text = Vec::new();
        reply.write(&mut text);
        let mut written: Vec<_> = std::str::from_utf8(&text).unwrap().split_terminator("\r\n").collect();
        let answer = world.fetch(method, "/a", request_fields).await;
        assert_eq!((reply.head().status(), reply.has_date()), (answer.status, answer.headers.contains_key("date")));
        assert_eq!(answer.headers["content-length"], reply.body().len().unwrap().to_string());
        let fields = answer.headers.iter().filter(|(name, _)| *name != "content-length");
        let mut expected: Vec<_> = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        written.sort_unstable();
        expected.sort_unstable();
        assert_eq!(written, expected);
        assert_eq!(reply.body().as_bytes().unwrap(), answer.body);
    }
    true
}

#[tokio::test]
async fn a_stored_reply_writes_the_lines_of_its_response() {
    let dated = date(-1);
    let stored: [Fields<'_>; 5] = [
        &[FRESH],
        &[FRESH, ("date", &dated), ("etag", "\"a\""), ("last-modified", &dated)],
        &[FRESH, ("link", "</a>; rel=preload"), ("link", "</b>; rel=preload"), ("vary", "x-y"), ("x-empty", "")],
        &[FRESH, ("content-type", "text/plain"), ("content-length", "7"), ("age", "0")],
        &[FRESH, ("connection", "x-hop"), ("x-hop", "1"), ("keep-alive", "timeout=5"), ("via", "1.1 a")],
    ];
    for stored in stored {
        assert!(hit(&World::new(), (200, stored), "GET", &[]).await || stored.contains(&("age", "0")), "{stored:?}");
    }
    let inserted = RoutePolicy { age: Some(Duration::from_secs(60)), ..RoutePolicy::default() };
    assert!(hit(&World::with(inserted), (200, &[]), "GET", &[]).await);
}

#[tokio::test]
async fn a_hit_that_is_not_plain_is_a_response() {
    let fresh: Fields<'_> = &[FRESH, ("etag", "\"a\"")];
    for request_fields in [("range", "bytes=0-1"), ("if-none-match", "\"a\""), ("cache-control", "max-age=50")] {
        assert!(!hit(&World::new(), (200, fresh), "GET", &[request_fields]).await, "{request_fields:?}");
    }
    assert!(!hit(&World::new(), (200, fresh), "HEAD", &[]).await);
    assert!(!hit(&World::new(), (404, fresh), "GET", &[]).await);
    assert!(!hit(&World::new(), (200, &[FRESH, ("cache-status", "edge; fwd=miss")]), "GET", &[]).await);
    let browser = RoutePolicy { browser: Some(Duration::from_secs(9)), ..RoutePolicy::default() };
    assert!(!hit(&World::with(browser), (200, fresh), "GET", &[]).await, "its Cache-Control depends on its age");
}

#[tokio::test]
async fn the_lines_of_a_freshened_entry_are_new() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=1"), ("etag", "\"a\""), ("x-y", "1")], "content");
    world.origin.reply(304, &[("cache-control", "max-age=5"), ("etag", "\"a\""), ("x-y", "2")], "");
    let lines = async || match world.reply(request("GET", "/a", &[])).await {
        Reply::Stored(reply) => {
            let mut text = Vec::new();
            reply.write(&mut text);
            String::from_utf8(text).unwrap()
        }
        Reply::Response(_) => String::new(),
    };
    world.get("/a", &[]).await;
    assert!(lines().await.contains("x-y: 1\r\n"));
    world.advance(2);
    world.get("/a", &[]).await;
    let lines = lines().await;
    assert!(lines.contains("x-y: 2\r\n") && !lines.contains("x-y: 1"), "{lines:?}");
}
