//! §3: the responses that may be stored, and their fields.

use dunlin_cache::RoutePolicy;

use crate::world::{Fields, World, date};

/// Returns `true` if the cache answers the second of two equal requests.
async fn reused(policy: RoutePolicy, request: Fields<'_>, status: u16, fields: Fields<'_>) -> bool {
    let world = World::with(policy);
    world.origin.reply(status, fields, "content");
    let first = world.get("/a", request).await;
    assert_eq!((first.status.as_u16(), first.is_hit()), (status, false));
    let second = world.get("/a", request).await;
    assert_eq!(second.status.as_u16(), status);
    assert_eq!(second.is_hit(), world.origin.count() == 1, "{}", second.cache_status());
    second.is_hit()
}

async fn check(request: Fields<'_>, status: u16, fields: Fields<'_>, expect: bool) {
    let reused = reused(RoutePolicy::default(), request, status, fields).await;
    assert_eq!(reused, expect, "{request:?} {status} {fields:?}");
}

#[tokio::test]
async fn any_final_status_with_a_lifetime() {
    for status in [200, 201, 203, 204, 299, 301, 302, 303, 307, 308, 400, 403, 404, 410, 499, 500, 502, 503, 504, 599] {
        check(&[], status, &[("cache-control", "max-age=60")], true).await;
        check(&[], status, &[("expires", &date(60))], true).await;
        check(&[], status, &[], false).await;
    }
}

#[tokio::test]
async fn directives_that_forbid_storing() {
    for forbidden in ["no-store", "No-StOrE", "private", "max-age=60, no-store", "max-age=60, private", "no-cache"] {
        check(&[], 200, &[("cache-control", forbidden), ("expires", &date(60))], false).await;
    }
    check(&[], 200, &[("cache-control", "max-age=60"), ("cache-control", "no-store")], false).await;
}

#[tokio::test]
async fn must_understand_requires_a_known_status() {
    check(&[], 200, &[("cache-control", "max-age=60, no-store, must-understand")], true).await;
    check(&[], 599, &[("cache-control", "max-age=60, no-store, must-understand")], false).await;
    check(&[], 599, &[("cache-control", "max-age=60, must-understand")], false).await;
}

#[tokio::test]
async fn responses_to_authorized_requests_are_stored_only_if_they_are_for_all() {
    let request = [("authorization", "Basic YTpi")];
    for (control, expect) in [
        ("max-age=60", false),
        ("max-age=60, public", true),
        ("max-age=60, must-revalidate", true),
        ("s-maxage=60", true),
        ("max-age=60, proxy-revalidate", false),
    ] {
        check(&request, 200, &[("cache-control", control)], expect).await;
    }
}

#[tokio::test]
async fn responses_with_set_cookie_are_stored_only_if_the_route_says_so() {
    let fields = [("cache-control", "max-age=60"), ("set-cookie", "a=b")];
    assert!(!reused(RoutePolicy::default(), &[], 200, &fields).await);
    assert!(reused(RoutePolicy { set_cookie: true, ..RoutePolicy::default() }, &[], 200, &fields).await);
    let private = [("cache-control", "max-age=60, private"), ("set-cookie", "a=b")];
    assert!(!reused(RoutePolicy { set_cookie: true, ..RoutePolicy::default() }, &[], 200, &private).await);
}

#[tokio::test]
async fn a_request_with_a_cookie_is_stored() {
    check(&[("cookie", "a=b")], 200, &[("cache-control", "max-age=60")], true).await;
}

#[tokio::test]
async fn s3_1_fields_of_the_connection_are_not_stored() {
    let world = World::new();
    let fields = [
        ("cache-control", "max-age=60, no-cache=\"hidden, Other\""),
        ("connection", "a, b"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authentication-info", "x"),
        ("proxy-connection", "close"),
        ("te", "trailers"),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("hidden", "4"),
        ("other", "5"),
    ];
    world.origin.reply(200, &fields, "content");
    // The first client gets the fields that are not stored.
    let first = world.get("/a", &[]).await;
    assert_eq!((first.field("hidden"), first.field("other")), ("4", "5"));
    let hit = world.get("/a", &[]).await;
    assert!(hit.is_hit());
    assert_eq!(hit.field("c"), "3");
    for (name, _) in &fields[1..] {
        assert!(*name == "c" || !hit.headers.contains_key(*name), "{name}");
    }
}
