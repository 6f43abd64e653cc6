//! Hits whose head was written when it was stored.

use std::time::Duration;

use dunlin_cache::RoutePolicy;
use dunlin_http::Reply;

use crate::world::{Fields, World, date, request};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// What a hit is after a while: as it would be written, if it is ready, and the response that it
/// is.
async fn hit(world: &World, (status, stored): (u16, Fields<'_>), method: &str, asked: Fields<'_>) -> bool {
    world.origin.reply(status, stored, "content");
    world.get("/a", &[]).await;
    for age in [0, 3] {
        world.advance(age);
        let Reply::Stored(ready) = world.reply(request(method, "/a", asked)).await else { return false };
        let mut text = Vec::new();
        ready.write(&mut text);
        let mut written: Vec<_> = std::str::from_utf8(&text).unwrap().split_terminator("\r\n").collect();
        let answer = world.ask(method, "/a", asked).await;
        assert_eq!((ready.head().status(), ready.has_date()), (answer.status, answer.headers.contains_key("date")));
        assert_eq!(answer.headers["content-length"], ready.body().len().unwrap().to_string());
        let fields = answer.headers.iter().filter(|(name, _)| *name != "content-length");
        let mut told: Vec<_> = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        written.sort_unstable();
        told.sort_unstable();
        assert_eq!(written, told);
        assert_eq!(ready.body().as_bytes().unwrap(), answer.body);
    }
    true
}

#[tokio::test]
async fn what_is_written_is_what_the_response_says() {
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
    let placed = RoutePolicy { age: Some(Duration::from_secs(60)), ..RoutePolicy::default() };
    assert!(hit(&World::with(placed), (200, &[]), "GET", &[]).await);
}

#[tokio::test]
async fn what_is_not_plain_is_made() {
    let fresh: Fields<'_> = &[FRESH, ("etag", "\"a\"")];
    for asked in [("range", "bytes=0-1"), ("if-none-match", "\"a\""), ("cache-control", "max-age=50")] {
        assert!(!hit(&World::new(), (200, fresh), "GET", &[asked]).await, "{asked:?}");
    }
    assert!(!hit(&World::new(), (200, fresh), "HEAD", &[]).await);
    assert!(!hit(&World::new(), (404, fresh), "GET", &[]).await);
    assert!(!hit(&World::new(), (200, &[FRESH, ("cache-status", "edge; fwd=miss")]), "GET", &[]).await);
    let browser = RoutePolicy { browser: Some(Duration::from_secs(9)), ..RoutePolicy::default() };
    assert!(!hit(&World::with(browser), (200, fresh), "GET", &[]).await, "it is another from second to second");
}

#[tokio::test]
async fn what_is_freshened_is_written_anew() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=1"), ("etag", "\"a\""), ("x-y", "1")], "content");
    world.origin.reply(304, &[("cache-control", "max-age=5"), ("etag", "\"a\""), ("x-y", "2")], "");
    let lines = async || match world.reply(request("GET", "/a", &[])).await {
        Reply::Stored(ready) => {
            let mut text = Vec::new();
            ready.write(&mut text);
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
