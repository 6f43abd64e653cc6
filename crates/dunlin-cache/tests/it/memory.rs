//! The limits of memory.

use dunlin_cache::{Config, RoutePolicy};
use dunlin_http::Body;

use crate::world::{Fields, World, response};

const FRESH: Fields<'static> = &[("cache-control", "max-age=60")];

/// A cache in front of an origin whose responses all have one size.
fn world(config: Config, size: usize, fields: Fields<'static>) -> World {
    let world = World::configured(config, RoutePolicy::default());
    world.origin.reply_with(move |_| response(200, fields, Body::from(vec![b'x'; size])));
    world
}

#[tokio::test]
async fn the_limit_holds_and_the_largest_entry_fits() {
    for max_entry in [1 << 20, 100 << 10] {
        let memory = max_entry * 2;
        let config = Config { memory, max_entry, ..Config::default() };
        let world = world(config, max_entry as usize, FRESH);
        for key in 0..20 {
            let path = format!("/{key}");
            world.get(&path, &[]).await;
            assert!(world.get(&path, &[]).await.is_hit(), "{max_entry} {key}");
            let stats = world.cache.stats();
            assert!(stats.bytes <= memory && stats.keys > 0, "{stats:?}");
        }
    }
}

#[tokio::test]
async fn cache_status_does_not_say_stored_of_a_too_large_entry() {
    let world = world(Config { memory: 100 << 10, ..Config::default() }, 95 << 10, FRESH);
    for _ in 0..2 {
        let answer = world.get("/a", &[]).await;
        assert_eq!(
            (answer.cache_status(), answer.body.len()),
            ("dunlin; fwd=uri-miss; fwd-status=200; detail=too-large", 95 << 10)
        );
    }
    assert_eq!(world.cache.stats().keys, 0);
}

#[tokio::test]
async fn the_newest_variant_replaces_older_ones_where_memory_is_short() {
    let (max_entry, fields) = (100 << 10, &[("cache-control", "max-age=60"), ("vary", "foo")]);
    let world = world(Config { memory: max_entry * 3, max_entry, ..Config::default() }, max_entry as usize, fields);
    for variant in ["1", "2", "3", "4", "5"] {
        world.get("/a", &[("foo", variant)]).await;
        assert!(world.get("/a", &[("foo", variant)]).await.is_hit());
    }
    assert!(world.get("/a", &[("foo", "4")]).await.is_hit());
    assert!(!world.get("/a", &[("foo", "1")]).await.is_hit());
}

#[tokio::test]
async fn entries_that_are_used_again_outlive_those_used_once() {
    let world = world(Config { memory: 2 << 20, max_entry: 10 << 10, ..Config::default() }, 1000, FRESH);
    let popular: Vec<_> = (0..100).map(|key| format!("/popular/{key}")).collect();
    for round in 0..50 {
        for path in &popular {
            world.get(path, &[]).await;
        }
        for key in 0..200 {
            world.get(&format!("/once/{round}/{key}"), &[]).await;
        }
    }
    let before = world.origin.count();
    for path in &popular {
        world.get(path, &[]).await;
    }
    assert!(world.origin.count() - before < 10, "{} of 100 had gone", world.origin.count() - before);
}
