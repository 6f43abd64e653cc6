//! §2 and §4.1: the requests that share a response.

use dunlin_cache::{QueryKey, RoutePolicy};
use http::HeaderName;

use crate::world::{Fields, World, response};

/// Returns `true` if the second request gets the response to the first.
async fn shared(response: Fields<'_>, one: Fields<'_>, other: Fields<'_>) -> bool {
    let world = World::new();
    let mut all = vec![("cache-control", "max-age=60")];
    all.extend(response);
    world.origin.reply(200, &all, "content");
    world.get("/a", one).await;
    assert!(response.iter().any(|(_, value)| value.contains('*')) || world.get("/a", one).await.is_hit());
    world.get("/a", other).await.is_hit()
}

#[tokio::test]
async fn vary_requires_equal_request_fields() {
    let foo = [("vary", "Foo")];
    assert!(shared(&foo, &[("foo", "1"), ("other", "2")], &[("foo", "1"), ("other", "3")]).await);
    assert!(!shared(&foo, &[("foo", "1")], &[("foo", "2")]).await);
    assert!(!shared(&foo, &[], &[("foo", "1")]).await);
    assert!(!shared(&foo, &[("foo", "1")], &[]).await);
    let three = [("vary", "Foo, Bar"), ("vary", "Baz")];
    let fields = [("foo", "1"), ("bar", "abc"), ("baz", "789")];
    assert!(shared(&three, &fields, &fields).await);
    assert!(shared(&three, &[("foo", "1")], &[("foo", "1")]).await);
    assert!(!shared(&three, &fields, &[("foo", "1"), ("baz", "789"), ("bar", "abcde")]).await);
    for any in ["*", "*, *", ", *", "Foo, *", "*, Foo"] {
        assert!(!shared(&[("vary", any)], &fields, &fields).await, "{any}");
    }
    assert!(!shared(&[("vary", ""), ("vary", "*")], &fields, &fields).await);
}

#[tokio::test]
async fn equivalent_fields_select_the_same_response() {
    let foo = [("vary", "Foo")];
    assert!(shared(&foo, &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")]).await);
    assert!(!shared(&foo, &[("foo", "1,2")], &[("foo", " 1, 2 ")]).await);
    let language = [("vary", "Accept-Language"), ("content-language", "de")];
    for same in ["de, en", "eN, De", " en ,   de", "fr;q=0.5, de;q=1.0"] {
        assert!(shared(&language, &[("accept-language", "en, de")], &[("accept-language", same)]).await, "{same}");
    }
    assert!(!shared(&language, &[("accept-language", "en, de")], &[("accept-language", "fr")]).await);
}

#[tokio::test]
async fn variants_of_one_key_are_stored_together() {
    let world = World::new();
    world.origin.reply_with(|request| {
        let foo = request.headers().get("foo").map_or("none", |foo| foo.to_str().unwrap()).to_owned();
        response(200, &[("cache-control", "max-age=60"), ("vary", "foo")], foo)
    });
    for _ in 0..2 {
        for foo in ["1", "2", "3"] {
            assert_eq!(world.get("/a", &[("foo", foo)]).await.text(), foo);
        }
    }
    assert_eq!(world.origin.count(), 3);
    let miss = world.get("/a", &[]).await;
    assert!(miss.cache_status().starts_with("dunlin; fwd=vary-miss; fwd-status=200"), "{}", miss.cache_status());
}

#[tokio::test]
async fn variants_of_one_key_are_limited() {
    let config = dunlin_cache::Config { max_variants: 4, ..Default::default() };
    let world = World::configured(config, RoutePolicy::default());
    world.origin.reply(200, &[("cache-control", "max-age=60"), ("vary", "foo")], "content");
    for foo in ["1", "2", "3", "4", "5"] {
        world.get("/a", &[("foo", foo)]).await;
    }
    assert!(world.get("/a", &[("foo", "5")]).await.is_hit());
    assert!(world.get("/a", &[("foo", "2")]).await.is_hit());
    assert!(!world.get("/a", &[("foo", "1")]).await.is_hit());
}

#[tokio::test]
async fn s2_the_key_is_scheme_authority_path_and_query() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60")], "content");
    let hit = async |path: &str, host: &str| world.get(path, &[("host", host)]).await.is_hit();
    assert!(!hit("/a", "one").await);
    assert!(hit("/a", "ONE").await);
    assert!(hit("http://one/a", "other").await);
    for other in ["/a?", "/a?x=1", "/a?x=2", "/A", "/a/", "https://one/a"] {
        assert!(!hit(other, "one").await, "{other}");
        assert!(hit(other, "one").await, "{other}");
    }
    assert!(!hit("/a", "two").await);
    // The response to a GET answers a HEAD.
    let head = world.fetch("HEAD", "/a", &[("host", "one")]).await;
    assert_eq!((head.is_hit(), head.field("content-length"), head.text()), (true, "7", ""));
}

#[tokio::test]
async fn declared_parameters_are_the_key() {
    let query = QueryKey::Only(vec!["id".into(), "page".into()]);
    let world = World::with(RoutePolicy { query, ..RoutePolicy::default() });
    world.origin.reply(200, &[("cache-control", "max-age=60")], "content");
    world.get("/a?id=1", &[]).await;
    for same in ["/a?id=1&utm_source=x", "/a?x&id=%31"] {
        assert!(world.get(same, &[]).await.is_hit(), "{same}");
    }
    for other in ["/a", "/a?id=2", "/a?id=1&page=", "/a?id=1&id=2"] {
        assert!(!world.get(other, &[]).await.is_hit(), "{other}");
    }
    world.cache.purge_url(&"http://example.com/a?id=7".parse().unwrap());
    assert!(!world.get("/a?id=1", &[]).await.is_hit());
}

#[tokio::test]
async fn a_route_may_name_fields_to_vary_by() {
    let world = World::with(RoutePolicy { vary: vec![HeaderName::from_static("x-tenant")], ..RoutePolicy::default() });
    world.origin.reply(200, &[("cache-control", "max-age=60")], "content");
    assert_eq!(world.get("/a", &[("x-tenant", "1")]).await.field("vary"), "x-tenant");
    assert!(!world.get("/a", &[("x-tenant", "2")]).await.is_hit());
    assert!(world.get("/a", &[("x-tenant", "1")]).await.is_hit());
}
