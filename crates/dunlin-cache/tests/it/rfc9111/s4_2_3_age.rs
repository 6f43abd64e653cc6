//! §4.2.3 and §5.1: the age of a response.

use std::time::Duration;

use crate::world::{Fields, World, date, response};

/// The `Age` of a response ten seconds after its receipt, or `None` if it is no longer fresh.
async fn age(fields: Fields<'_>) -> Option<u64> {
    let world = World::new();
    let mut all = vec![("cache-control", "max-age=3600")];
    all.extend(fields);
    world.origin.reply(200, &all, "content");
    world.get("/a", &[]).await;
    world.advance(10);
    let second = world.get("/a", &[]).await;
    second.is_hit().then(|| second.field("age").parse().unwrap())
}

#[tokio::test]
async fn age_grows_from_the_received_age() {
    assert_eq!(age(&[]).await, Some(10));
    assert_eq!(age(&[("age", "30")]).await, Some(40));
    assert_eq!(age(&[("date", &date(-30))]).await, Some(40));
    assert_eq!(age(&[("date", &date(-30)), ("age", "20")]).await, Some(40));
    assert_eq!(age(&[("date", &date(30))]).await, Some(10));
    assert_eq!(age(&[("age", "7200")]).await, None);
    for large in ["2147483647", "2147483648", "2147483649", "99999999999999999999999999"] {
        assert_eq!(age(&[("age", large)]).await, None);
    }
}

#[tokio::test]
async fn the_first_of_several_ages_counts_and_an_invalid_one_is_ignored() {
    for ignored in ["abc", "-7200", "7200.0", ""] {
        assert_eq!(age(&[("age", ignored)]).await, Some(10), "{ignored:?}");
    }
    assert_eq!(age(&[("age", "0, 7200")]).await, Some(10));
    assert_eq!(age(&[("age", "7200, 0")]).await, None);
    assert_eq!(age(&[("age", "0"), ("age", "7200")]).await, Some(10));
    assert_eq!(age(&[("age", "7200"), ("age", "0")]).await, None);
}

#[tokio::test]
async fn the_delay_of_the_response_counts() {
    let world = World::new();
    let clock = world.clock.clone();
    world.origin.reply_with(move |_| {
        clock.advance(Duration::from_secs(5));
        response(200, &[("cache-control", "max-age=60"), ("age", "2")], "content")
    });
    assert_eq!(world.get("/a", &[]).await.field("age"), "7");
    assert_eq!(world.get("/a", &[]).await.field("age"), "7");
}

#[tokio::test]
async fn the_date_is_the_origins_or_the_time_of_receipt() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60"), ("date", &date(-5))], "");
    world.get("/a", &[]).await;
    world.advance(3);
    assert_eq!(world.get("/a", &[]).await.field("date"), date(-5));
    world.origin.forget().reply(200, &[("cache-control", "max-age=60")], "");
    world.get("/b", &[]).await;
    world.advance(3);
    assert_eq!(world.get("/b", &[]).await.field("date"), date(3));
}

#[tokio::test]
async fn a_response_that_was_just_forwarded_has_no_age() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60")], "");
    assert!(!world.get("/a", &[]).await.headers.contains_key("age"));
    assert_eq!(world.get("/a", &[]).await.field("age"), "0");
}
