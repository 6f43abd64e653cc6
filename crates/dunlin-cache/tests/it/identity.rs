//! Clients with a verified identity (RFC 9111 §3.5).

use std::sync::Arc;

use dunlin_cache::RoutePolicy;
use dunlin_http::{Body, Identity};
use http::Request;

use crate::world::{Answer, World, request, settle};

/// The request of a client with this subject, or of one without an identity.
fn get(path: &str, subject: Option<&str>) -> Request<Body> {
    let mut request = request("GET", path, &[]);
    if let Some(subject) = subject {
        request.extensions_mut().insert(Arc::new(Identity::of_subject(subject)));
    }
    request
}

async fn send(world: &World, subject: Option<&str>) -> Answer {
    world.send(get("/a", subject)).await.unwrap()
}

#[tokio::test]
async fn a_response_to_an_identity_is_stored_only_if_it_is_for_all() {
    async fn check(cache_control: &str, stored: bool) {
        let world = World::new();
        world.origin.reply(200, &[("cache-control", cache_control), ("etag", "\"a\"")], "ada's");
        let first = send(&world, Some("ada")).await;
        assert_eq!(first.cache_status().contains("stored"), stored, "{cache_control}: {}", first.cache_status());
        for subject in [Some("ada"), Some("bob"), None] {
            assert_eq!(send(&world, subject).await.is_hit(), stored, "{cache_control}");
        }
    }
    check("max-age=60", false).await;
    check("max-age=60, public", true).await;
    check("s-maxage=60", true).await;
    check("max-age=60, must-revalidate", true).await;
    check("max-age=60, private", false).await;
}

#[tokio::test]
async fn a_response_to_an_anonymous_client_does_not_answer_an_identity() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60")], "anonymous");
    send(&world, None).await;
    assert!(send(&world, None).await.is_hit());
    world.origin.forget().reply(200, &[("cache-control", "max-age=60")], "ada's");
    let own = send(&world, Some("ada")).await;
    assert_eq!(
        (own.text(), own.cache_status()),
        ("ada's", "dunlin; fwd=request; fwd-status=200; detail=authorization")
    );
    assert_eq!(send(&world, None).await.text(), "anonymous");
}

#[tokio::test]
async fn an_identity_does_not_follow_the_fill_of_an_anonymous_client() {
    let world = World::new();
    world.origin.reply_later(async || {
        settle().await;
        crate::world::response(200, &[("cache-control", "max-age=60")], "anonymous")
    });
    world.origin.reply(200, &[("cache-control", "max-age=60")], "ada's");
    let (anonymous, ada) = tokio::join!(send(&world, None), send(&world, Some("ada")));
    assert_eq!((anonymous.text(), ada.text()), ("anonymous", "ada's"));
}

#[tokio::test]
async fn each_identity_has_entries_of_its_own_where_the_route_says_so() {
    let world = World::with(RoutePolicy { per_identity: true, ..RoutePolicy::default() });
    let subjects = [Some("ada"), Some("bob"), Some("a&b=c%"), None];
    for subject in subjects {
        world.origin.forget().reply(200, &[("cache-control", "max-age=60")], subject.unwrap_or("anonymous"));
        assert!(!send(&world, subject).await.is_hit(), "{subject:?}");
    }
    for subject in subjects {
        let hit = send(&world, subject).await;
        assert_eq!((hit.is_hit(), hit.text()), (true, subject.unwrap_or("anonymous")));
    }
    // `Authorization` changes nothing for a client with entries of its own.
    let mut authorized = get("/a", Some("ada"));
    authorized.headers_mut().insert("authorization", "Bearer a".parse().unwrap());
    assert!(world.send(authorized).await.unwrap().is_hit());
    assert_eq!(world.cache.purge_url(&"http://example.com/a".parse().unwrap()), 4);
    assert!(!send(&world, Some("bob")).await.is_hit());
}

#[tokio::test]
async fn an_identity_without_a_subject_has_no_entries_of_its_own() {
    let world = World::with(RoutePolicy { per_identity: true, ..RoutePolicy::default() });
    world.origin.reply(200, &[("cache-control", "max-age=60")], "content");
    for _ in 0..2 {
        let mut request = get("/a", None);
        request.extensions_mut().insert(Arc::new(Identity::default()));
        assert!(!world.send(request).await.unwrap().is_hit());
    }
}
