//! §4.3: validation, by the cache and by its clients.

use crate::world::{Fields, World, date, response};

/// Makes the origin validate requests; its content never changes.
fn origin(
    world: &World,
    validators: &'static [(&'static str, &'static str)],
    first: Fields<'static>,
    then: Fields<'static>,
) {
    let calls = std::sync::atomic::AtomicU32::new(0);
    world.origin.reply_with(move |request| {
        let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let matches = validators.iter().any(|(name, value)| {
            let condition = if *name == "etag" { "if-none-match" } else { "if-modified-since" };
            request.headers().get(condition).is_some_and(|condition| condition.as_bytes() == value.as_bytes())
        });
        let mut fields = validators.to_vec();
        fields.extend(if call == 0 { first } else { then });
        if matches { response(304, &fields, "") } else { response(200, &fields, "content") }
    });
}

const LONG_AGO: &str = "Wed, 01 Jan 1992 00:00:00 GMT";

#[tokio::test]
async fn stale_responses_are_validated_with_their_validators() {
    for validators in [&[("etag", "\"a\"")][..], &[("etag", "W/\"a\"")], &[("last-modified", LONG_AGO)]] {
        let world = World::new();
        let (first, then) = (&[("cache-control", "max-age=2")], &[("cache-control", "max-age=60"), ("x", "new")]);
        origin(&world, validators, first, then);
        world.get("/a", &[]).await;
        world.advance(3);
        let validated = world.get("/a", &[]).await;
        assert_eq!((validated.status.as_u16(), validated.text(), validated.field("x")), (200, "content", "new"));
        assert_eq!(validated.cache_status(), "dunlin; fwd=stale; fwd-status=304; ttl=60; stored");
        let hit = world.get("/a", &[]).await;
        assert_eq!((hit.is_hit(), hit.field("x"), hit.text()), (true, "new", "content"));
        assert_eq!(world.origin.count(), 2);
    }
}

#[tokio::test]
async fn no_cache_is_stored_and_validated_each_time() {
    let world = World::new();
    let control = &[("cache-control", "max-age=60, no-cache")];
    origin(&world, &[("etag", "\"a\"")], control, control);
    for _ in 0..3 {
        assert_eq!(world.get("/a", &[]).await.text(), "content");
    }
    assert_eq!(world.origin.last().headers()["if-none-match"], "\"a\"");
    assert_eq!(world.cache.stats().validated, 2);
}

#[tokio::test]
async fn s3_2_a_304_updates_all_fields_but_those_of_the_content() {
    let world = World::new();
    let fields = [
        ("cache-control", "max-age=2"),
        ("etag", "\"a\""),
        ("x", "1"),
        ("x", "2"),
        ("kept", "k"),
        ("content-foo", "1"),
    ];
    world.origin.reply(200, &fields, "content");
    let fields = [
        ("cache-control", "max-age=60"),
        ("etag", "\"a\""),
        ("x", "3"),
        ("content-foo", "2"),
        ("content-length", "3"),
        ("content-encoding", "gzip"),
    ];
    world.origin.reply(304, &fields, "");
    world.get("/a", &[]).await;
    world.advance(3);
    for _ in 0..2 {
        let answer = world.get("/a", &[]).await;
        assert_eq!(answer.lines("x"), ["3"]);
        assert_eq!((answer.field("kept"), answer.field("content-foo")), ("k", "2"));
        assert_eq!((answer.field("content-length"), answer.field("content-encoding")), ("7", ""));
    }
    assert_eq!(world.origin.count(), 2);
}

#[tokio::test]
async fn s4_3_4_a_304_confirms_the_stored_response_and_keeps_its_tag() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=2"), ("etag", "\"a\"")], "content");
    world.origin.reply(304, &[("cache-control", "max-age=60"), ("etag", "\"b\""), ("x", "new")], "");
    world.get("/a", &[]).await;
    world.advance(3);
    for _ in 0..2 {
        let answer = world.get("/a", &[]).await;
        assert_eq!((answer.text(), answer.field("etag"), answer.field("x")), ("content", "\"a\"", "new"));
    }
    assert_eq!(world.origin.count(), 2);
}

#[tokio::test]
async fn a_304_to_an_unconditional_request_validates_nothing() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=2")], "content").reply(304, &[], "");
    world.get("/a", &[]).await;
    world.advance(3);
    assert_eq!(world.get("/a", &[]).await.status, 304);
}

#[tokio::test]
async fn a_200_to_a_validation_replaces_the_stored_response() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=2"), ("etag", "\"a\"")], "old");
    world.origin.reply(200, &[("cache-control", "max-age=60"), ("etag", "\"b\"")], "new");
    world.get("/a", &[]).await;
    world.advance(3);
    assert_eq!(world.get("/a", &[]).await.text(), "new");
    assert!(world.get("/a", &[]).await.is_hit());
}

/// The status of a conditional request for a fresh stored response.
async fn conditional(stored: Fields<'_>, condition: Fields<'_>) -> u16 {
    let world = World::new();
    let mut all = vec![("cache-control", "max-age=60")];
    all.extend(stored);
    world.origin.reply(200, &all, "content");
    world.get("/a", &[]).await;
    let answer = world.get("/a", condition).await;
    assert!(answer.is_hit());
    assert_eq!(answer.text(), if answer.status == 304 { "" } else { "content" });
    assert_eq!(answer.headers.contains_key("content-length"), answer.status != 304);
    stored.iter().for_each(|(name, value)| assert_eq!(answer.field(name), *value));
    answer.status.as_u16()
}

#[tokio::test]
async fn s4_3_2_clients_conditions_are_evaluated() {
    let etag = [("etag", "\"abc\""), ("last-modified", LONG_AGO)];
    for list in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "\"abc\", \"x\"", "*"] {
        assert_eq!(conditional(&etag, &[("if-none-match", list)]).await, 304, "{list}");
    }
    assert_eq!(conditional(&etag, &[("if-none-match", "\"x\"")]).await, 200);
    // RFC 9110 §13.2.2: If-None-Match takes precedence over If-Modified-Since.
    assert_eq!(conditional(&etag, &[("if-none-match", "\"x\""), ("if-modified-since", LONG_AGO)]).await, 200);
    assert_eq!(
        conditional(&etag, &[("if-none-match", "\"abc\""), ("if-modified-since", "Tue, 01 Jan 1980 00:00:00 GMT")])
            .await,
        304
    );
    let changed = [("last-modified", LONG_AGO)];
    assert_eq!(conditional(&changed, &[("if-modified-since", LONG_AGO)]).await, 304);
    assert_eq!(conditional(&changed, &[("if-modified-since", &date(-5))]).await, 304);
    assert_eq!(conditional(&changed, &[("if-modified-since", "Wednesday, 01-Jan-92 00:00:00 GMT")]).await, 304);
    assert_eq!(conditional(&changed, &[("if-modified-since", "Tue, 01 Jan 1980 00:00:00 GMT")]).await, 200);
    assert_eq!(conditional(&changed, &[("if-modified-since", "yesterday")]).await, 200);
    // Date replaces a missing Last-Modified.
    assert_eq!(conditional(&[], &[("if-modified-since", &date(0))]).await, 304);
    assert_eq!(conditional(&[], &[("if-modified-since", &date(-1))]).await, 200);
}

#[tokio::test]
async fn a_clients_condition_is_not_part_of_the_fill() {
    let world = World::new();
    world.origin.reply_with(|request| {
        assert!(!request.headers().contains_key("if-none-match"));
        response(200, &[("cache-control", "max-age=60"), ("etag", "\"a\"")], "content")
    });
    assert_eq!(world.get("/a", &[("if-none-match", "\"a\"")]).await.status, 304);
    assert_eq!(world.get("/a", &[("if-none-match", "\"b\"")]).await.text(), "content");
    assert_eq!(world.origin.count(), 1);
}

#[tokio::test]
async fn conditions_that_only_the_origin_evaluates_bypass_the_cache() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60"), ("etag", "\"a\"")], "content");
    world.get("/a", &[]).await;
    for condition in ["if-match", "if-unmodified-since"] {
        let answer = world.get("/a", &[(condition, "\"a\"")]).await;
        assert_eq!(answer.cache_status(), "dunlin; fwd=bypass; fwd-status=200; detail=precondition");
        assert!(world.origin.last().headers().contains_key(condition));
    }
}

#[tokio::test]
async fn s4_3_5_a_head_freshens_the_stored_response() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=2"), ("a", "1"), ("b", "1")], "content");
    world.origin.reply(200, &[("cache-control", "max-age=60"), ("a", "2"), ("content-length", "7")], "");
    world.get("/a", &[]).await;
    world.advance(3);
    assert_eq!(world.fetch("HEAD", "/a", &[]).await.field("a"), "2");
    assert_eq!(world.origin.last().method(), "HEAD");
    let hit = world.get("/a", &[]).await;
    assert_eq!((hit.is_hit(), hit.field("a"), hit.field("b"), hit.text()), (true, "2", "1", "content"));
    // A HEAD that shows another content removes the stored response.
    world.advance(61);
    world.origin.forget().reply(200, &[("cache-control", "max-age=60"), ("content-length", "9")], "");
    world.fetch("HEAD", "/a", &[]).await;
    assert_eq!(world.get("/a", &[]).await.cache_status(), "dunlin; fwd=uri-miss; fwd-status=200; detail=incomplete");
}
