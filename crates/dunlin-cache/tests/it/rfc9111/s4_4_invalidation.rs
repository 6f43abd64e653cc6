//! §4.4: invalidation by unsafe methods.

use http::Uri;

use crate::world::{World, response};

fn world() -> World {
    let world = World::new();
    world.origin.reply_with(|request| match request.method().as_str() {
        "GET" => response(200, &[("cache-control", "max-age=60")], "content"),
        _ => {
            let status = request.headers()["status"].to_str().unwrap().parse().unwrap();
            let mut made = response(status, &[], "");
            for name in ["location", "content-location"] {
                if let Some(value) = request.headers().get(name) {
                    made.headers_mut().insert(http::HeaderName::from_static(name), value.clone());
                }
            }
            made
        }
    });
    world
}

#[tokio::test]
async fn success_invalidates_and_failure_does_not() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "PURGE"] {
        for (status, gone) in [("200", true), ("204", true), ("303", true), ("404", false), ("500", false)] {
            let world = world();
            world.get("/a?x=1", &[]).await;
            let answer = world.fetch(method, "/a?x=1", &[("status", status)]).await;
            assert_eq!(answer.cache_status(), format!("dunlin; fwd=method; fwd-status={status}"));
            assert_eq!(!world.get("/a?x=1", &[]).await.is_hit(), gone, "{method} {status}");
        }
    }
}

#[tokio::test]
async fn safe_methods_invalidate_nothing() {
    for method in ["OPTIONS", "TRACE", "HEAD"] {
        let world = world();
        world.get("/a", &[]).await;
        world.fetch(method, "/a", &[("status", "200")]).await;
        assert!(world.get("/a", &[]).await.is_hit(), "{method}");
    }
}

#[tokio::test]
async fn locations_on_the_same_origin_are_invalidated_too() {
    for (location, gone) in [
        ("/dir/b?y", true),
        ("b?y", true),
        ("./b?y#frag", true),
        ("../dir/b?y", true),
        ("http://Example.com/dir/b?y", true),
        ("//example.com/dir/b?y", true),
        ("http://other.com/dir/b?y", false),
        ("/dir/b", false),
    ] {
        for name in ["location", "content-location"] {
            let world = world();
            world.get("/dir/b?y", &[]).await;
            world.fetch("POST", "/dir/a", &[("status", "201"), (name, location)]).await;
            assert_eq!(!world.get("/dir/b?y", &[]).await.is_hit(), gone, "{name}: {location}");
        }
    }
}

#[tokio::test]
async fn a_purge_removes_all_variants() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60"), ("vary", "foo")], "content");
    for foo in ["1", "2"] {
        world.get("/a", &[("foo", foo)]).await;
    }
    world.cache.purge_url(&Uri::from_static("http://example.com/a"));
    for foo in ["1", "2"] {
        assert!(!world.get("/a", &[("foo", foo)]).await.is_hit());
    }
    world.cache.purge_all();
    assert!(!world.get("/a", &[("foo", "1")]).await.is_hit());
}

#[tokio::test]
async fn a_purge_of_a_path_without_a_host_reaches_every_host() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60")], "content");
    let all = [("/a", "one.com"), ("/a?x=1", "two.com"), ("https://three.com/a", "three.com"), ("/b", "one.com")];
    for (path, host) in all {
        world.get(path, &[("host", host)]).await;
    }
    world.cache.purge_url(&Uri::from_static("/a"));
    for (path, host) in all {
        assert_eq!(world.get(path, &[("host", host)]).await.is_hit(), path == "/b", "{path} {host}");
    }
}

#[tokio::test]
async fn a_purge_of_a_url_means_its_scheme_host_and_query() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60")], "content");
    let all = ["/a?x=1", "/a?x=2", "/a", "https://example.com/a?x=1", "http://other.com/a?x=1"];
    for path in all {
        world.get(path, &[]).await;
    }
    world.cache.purge_url(&Uri::from_static("http://Example.com/a?x=1"));
    for path in all {
        assert_eq!(!world.get(path, &[]).await.is_hit(), path == "/a?x=1", "{path}");
    }
}

#[tokio::test]
async fn rfc9110_s9_3_3_a_post_may_answer_later_gets() {
    let fields = [("cache-control", "max-age=60"), ("content-location", "/a")];
    let world = World::new();
    world.origin.reply(200, &fields, "made");
    world.fetch("POST", "/a", &[]).await;
    let hit = world.get("/a", &[]).await;
    assert_eq!((hit.is_hit(), hit.text()), (true, "made"));
    // A second POST is forwarded, and so is a GET after a response that says less.
    assert!(!world.fetch("POST", "/a", &[]).await.is_hit());
    for less in [&fields[..1], &fields[1..], &[("cache-control", "max-age=60"), ("content-location", "/b")]] {
        let world = World::new();
        world.origin.reply(200, less, "made");
        world.fetch("POST", "/a", &[]).await;
        assert!(!world.get("/a", &[]).await.is_hit(), "{less:?}");
    }
}
