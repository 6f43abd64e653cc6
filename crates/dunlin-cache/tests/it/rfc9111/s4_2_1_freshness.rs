//! §4.2.1 and §4.2.2: the lifetime of a response.

use std::time::Duration;

use dunlin_cache::RoutePolicy;

use crate::world::{Fields, World, date};

/// The seconds for which a response with these fields is reused, as far as the steps below show.
async fn fresh_seconds(policy: RoutePolicy, status: u16, fields: Fields<'_>) -> u64 {
    let world = World::with(policy);
    world.origin.reply(status, fields, "content");
    world.get("/a", &[]).await;
    let mut fresh = 0;
    for at in [1, 2, 5, 9, 10, 11, 20, 30, 60, 61, 360, 3600, 8640, 86_400, 86_401, 4_000_000_000] {
        if !is_fresh_at(&world, at).await {
            break;
        }
        fresh = at;
    }
    fresh
}

/// Returns `true` if the response is still fresh at this time.
async fn is_fresh_at(world: &World, at: u64) -> bool {
    let now = world.clock.now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs();
    world.advance(crate::world::START + at - now);
    world.get("/a", &[("cache-control", "only-if-cached")]).await.is_hit()
}

async fn check(status: u16, fields: Fields<'_>, expect: u64) {
    let fresh = fresh_seconds(RoutePolicy::default(), status, fields).await;
    assert_eq!(fresh, expect, "{status} {fields:?}");
}

#[tokio::test]
async fn explicit_lifetimes_by_rank() {
    check(200, &[("cache-control", "max-age=10")], 9).await;
    check(200, &[("cache-control", "max-age=10, s-maxage=60")], 30).await;
    check(200, &[("cache-control", "s-maxage=10, max-age=60")], 9).await;
    check(200, &[("cache-control", "max-age=10"), ("cache-control", "s-maxage=60")], 30).await;
    check(200, &[("cache-control", "max-age=10"), ("expires", &date(60))], 9).await;
    check(200, &[("cache-control", "max-age=0"), ("expires", &date(60))], 0).await;
    check(200, &[("cache-control", "max-age=10"), ("expires", &date(-60))], 9).await;
    check(200, &[("expires", &date(10)), ("date", &date(0))], 9).await;
    check(200, &[("cache-control", "max-age=99999999999")], 86_401).await;
    check(200, &[("cache-control", "max-age=10, foobar")], 9).await;
    check(200, &[("cache-control", "MaX-aGe=10")], 9).await;
}

#[tokio::test]
async fn an_invalid_lifetime_counts_as_none() {
    for control in ["max-age=-1", "max-age=1a", "max-age='60'", "max-age= 60", "extension=\"max-age=60\""] {
        check(200, &[("cache-control", control)], 0).await;
    }
    check(200, &[("cache-control", "max-age=\"10\"")], 9).await;
}

#[tokio::test]
async fn expires_counts_from_the_date() {
    check(200, &[("expires", &date(300)), ("date", &date(400))], 0).await;
    check(200, &[("expires", &date(20)), ("date", &date(10))], 9).await;
    check(200, &[("expires", &date(10)), ("date", &date(-10))], 9).await;
    check(200, &[("expires", &date(10)), ("date", "foo")], 9).await;
    check(200, &[("expires", &date(0)), ("date", &date(0))], 0).await;
}

#[tokio::test]
async fn s4_2_2_a_tenth_of_the_time_since_the_last_change() {
    let hundred = date(-100);
    let changed = [("last-modified", hundred.as_str()), ("date", &date(0))];
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        check(status, &changed, 9).await;
    }
    for status in [201, 202, 302, 307, 403, 500, 502, 503, 504, 599] {
        check(status, &changed, 0).await;
    }
    check(599, &[("last-modified", &hundred), ("date", &date(0)), ("cache-control", "public")], 9).await;
    // A heuristic lifetime is at most a day.
    check(200, &[("last-modified", &date(-86_400 * 400))], 8640).await;
    // A Last-Modified after the Date is ignored.
    check(200, &[("last-modified", &date(100))], 0).await;
}

#[tokio::test]
async fn a_routes_own_age() {
    let age = || RoutePolicy { age: Some(Duration::from_secs(60)), ..RoutePolicy::default() };
    let check = async |fields: Fields<'_>, expect| {
        assert_eq!(fresh_seconds(age(), 200, fields).await, expect, "{fields:?}");
    };
    check(&[], 30).await;
    check(&[("cache-control", "max-age=10")], 30).await;
    check(&[("cache-control", "max-age=3600")], 30).await;
    check(&[("cache-control", "no-store")], 0).await;
    check(&[("cache-control", "private")], 0).await;
    check(&[("cache-control", "no-cache")], 0).await;
    check(&[("set-cookie", "a=b")], 0).await;
    // Errors keep their own lifetimes.
    assert_eq!(fresh_seconds(age(), 404, &[]).await, 0);
    assert_eq!(fresh_seconds(age(), 500, &[]).await, 0);
    assert_eq!(fresh_seconds(age(), 404, &[("cache-control", "max-age=10")]).await, 9);
}

#[tokio::test]
async fn the_freshness_that_clients_see() {
    let freshness = async |policy: RoutePolicy, own: Fields<'_>| {
        let world = World::with(policy);
        world.origin.reply(200, own, "content");
        let first = world.get("/a", &[]).await.field("cache-control").to_owned();
        world.advance(7);
        let hit = world.get("/a", &[]).await;
        assert_eq!(hit.field("age"), "7");
        (first, hit.field("cache-control").to_owned())
    };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let age = Some(Duration::from_secs(60));
    let base = || RoutePolicy { age, ..RoutePolicy::default() };
    assert_eq!(freshness(base(), &[]).await, pair("max-age=60", "max-age=60"));
    assert_eq!(freshness(base(), &[("cache-control", "max-age=5")]).await, pair("max-age=5", "max-age=5"));
    let groups = || RoutePolicy { groups: vec!["users".into()], ..base() };
    assert_eq!(freshness(groups(), &[]).await, pair("max-age=0", "max-age=0"));
    // Clients count from Age: 30 seconds from now on are 37 at an age of 7.
    let browser = RoutePolicy { browser: Some(Duration::from_secs(30)), ..groups() };
    assert_eq!(freshness(browser, &[("cache-control", "max-age=5")]).await, pair("max-age=30", "max-age=37"));
}
