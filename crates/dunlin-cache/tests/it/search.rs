//! `No-Vary-Search`: responses that do not depend on the whole query.

use crate::world::{World, response};

fn world(rule: &'static str) -> World {
    let world = World::new();
    world.origin.reply_with(move |request| {
        let fields = [("cache-control", "max-age=60"), ("no-vary-search", rule)];
        response(200, &fields, request.uri().query().unwrap_or_default().to_owned())
    });
    world
}

#[tokio::test]
async fn queries_that_differ_in_ignored_parts_share_a_response() {
    let world = world("key-order, params=(\"utm\")");
    world.get("/a?x=1&utm=7&y=2", &[]).await;
    for same in ["/a?y=2&x=1", "/a?utm&utm=3&x=1&y=2"] {
        assert!(world.get(same, &[]).await.is_hit(), "{same}");
    }
    for other in ["/a?x=2&y=2", "/a", "/b?x=1&y=2"] {
        assert!(!world.get(other, &[]).await.is_hit(), "{other}");
    }
}

#[tokio::test]
async fn with_an_invalid_rule_the_whole_query_counts() {
    for rule in ["params=(utm)", "except=(\"x\")", "params=1", "\"", "key-order=?0"] {
        let world = world(rule);
        world.get("/a?x=1", &[]).await;
        assert!(world.get("/a?x=1", &[]).await.is_hit(), "{rule}");
        assert!(!world.get("/a?x=2", &[]).await.is_hit(), "{rule}");
    }
}

#[tokio::test]
async fn the_rule_of_the_last_response_counts() {
    let world = world("params");
    world.get("/a?x=1", &[]).await;
    assert!(world.get("/a?x=2", &[]).await.is_hit());
    world.advance(61);
    world.origin.forget().reply(200, &[("cache-control", "max-age=60")], "whole");
    world.get("/a?x=1", &[]).await;
    assert!(world.get("/a?x=1", &[]).await.is_hit());
    assert_eq!(world.get("/a?x=2", &[]).await.text(), "whole");
    assert_eq!(world.origin.count(), 3);
}

#[tokio::test]
async fn a_purge_of_the_path_reaches_every_query() {
    let world = world("params");
    world.get("/a?x=1", &[]).await;
    world.cache.purge_url(&"http://example.com/a".parse().unwrap());
    assert!(!world.get("/a?x=2", &[]).await.is_hit());
}
