//! RFC 9213: targeted fields.

use dunlin_cache::{Config, RoutePolicy};
use http::HeaderName;

use crate::world::{Fields, World, date};

async fn reused(targets: &[&'static str], fields: Fields<'_>) -> bool {
    let targets = targets.iter().map(|name| HeaderName::from_static(name)).collect();
    let world = World::configured(Config { targets, ..Config::default() }, RoutePolicy::default());
    world.origin.reply(200, fields, "content");
    world.get("/a", &[]).await;
    world.advance(5);
    world.get("/a", &[]).await.is_hit()
}

#[tokio::test]
async fn a_targeted_field_counts_alone() {
    let check = async |targeted: &str, others: Fields<'_>, expect: bool| {
        let mut fields = vec![("cdn-cache-control", targeted)];
        fields.extend(others);
        assert_eq!(reused(&["cdn-cache-control"], &fields).await, expect, "{targeted} {others:?}");
    };
    let (future, past) = (date(100), date(-100));
    check("max-age=60", &[], true).await;
    check("max-age=99999999999", &[], true).await;
    check("foobar, max-age=60", &[("expires", "0")], true).await;
    check("max-age=60", &[("expires", &past)], true).await;
    check("max-age=60", &[("cache-control", "no-store")], true).await;
    check("max-age=60", &[("cache-control", "max-age=1")], true).await;
    check("max-age=60", &[("age", "100")], false).await;
    check("max-age=0", &[("expires", &future)], false).await;
    check("max-age=1", &[("cache-control", "max-age=60")], false).await;
    for forbids in ["private", "no-cache", "no-store"] {
        check(forbids, &[("cache-control", "max-age=60"), ("expires", &future)], false).await;
    }
}

#[tokio::test]
async fn an_invalid_targeted_field_is_ignored() {
    for ignored in
        ["max-age=60, &&&&&", "max-age=\"60\"", "max-age =60", "max-age=60.5", "no-store=(a b)", "", "max-age=-1"]
    {
        let fields = [("cdn-cache-control", ignored), ("cache-control", "no-store")];
        assert!(!reused(&["cdn-cache-control"], &fields).await, "{ignored}");
        let fields = [("cdn-cache-control", ignored), ("cache-control", "max-age=60")];
        assert!(reused(&["cdn-cache-control"], &fields).await, "{ignored}");
    }
}

#[tokio::test]
async fn the_first_target_of_the_list_counts() {
    let fields = [("cdn-cache-control", "no-store"), ("dunlin-cache-control", "max-age=60")];
    assert!(reused(&["dunlin-cache-control", "cdn-cache-control"], &fields).await);
    assert!(!reused(&["cdn-cache-control", "dunlin-cache-control"], &fields).await);
    assert!(!reused(&[], &fields).await);
}
