//! RFC 9110 §13: conditional requests.

use std::fs;
use std::time::{Duration, SystemTime};

use dunlin_static::Config;
use http::Method;

use crate::support::{Site, date};

#[tokio::test]
async fn in_the_order_of_precedence() {
    let site = Site::new(&[("a.css", "a {}")], Config::default());
    let first = site.get("/a.css").await;
    let (tag, at) = (first.field("etag").to_owned(), first.field("last-modified").to_owned());
    let weak = format!("W/{tag}");
    let (before, after) = (date(SystemTime::UNIX_EPOCH + Duration::from_secs(86_400)), date(SystemTime::now()));
    for (fields, status) in [
        (vec![("if-none-match", &*tag)], 304),
        (vec![("if-none-match", &*weak)], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "\"x\"")], 200),
        (vec![("if-none-match", "\"x\""), ("if-modified-since", &*after)], 200),
        (vec![("if-modified-since", &*at)], 304),
        (vec![("if-modified-since", &*after)], 304),
        (vec![("if-modified-since", &*before)], 200),
        (vec![("if-match", &*tag)], 200),
        (vec![("if-match", "*")], 200),
        (vec![("if-match", &*weak)], 412),
        (vec![("if-match", "\"x\"")], 412),
        (vec![("if-match", &*tag), ("if-none-match", &*tag)], 304),
        (vec![("if-match", &*tag), ("if-unmodified-since", &*before)], 200),
        (vec![("if-unmodified-since", &*before)], 412),
        (vec![("if-unmodified-since", &*at)], 200),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let response = site.send(method.clone(), "/a.css", &fields).await;
            assert_eq!(response.status, status, "{method} {fields:?}");
        }
    }
}

#[tokio::test]
async fn a_304_has_the_fields_that_a_cache_needs() {
    let site = Site::new(&[("a.css", "a {}")], Config { cache: Some(Duration::from_secs(60)), ..Config::default() });
    let tag = site.get("/a.css").await.field("etag").to_owned();
    let response = site.send(Method::GET, "/a.css", &[("if-none-match", &tag)]).await;
    let mut names: Vec<_> = response.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!((names, response.body.len()), (vec!["cache-control", "etag"], 0));
    assert_eq!((response.field("etag"), response.field("cache-control")), (&*tag, "max-age=60"));
}

#[tokio::test]
async fn implausible_times_are_not_sent() {
    let site = Site::new(&[("old", "x"), ("new", "x")], Config::default());
    for (name, time) in [
        ("old", SystemTime::UNIX_EPOCH + Duration::from_secs(1)),
        ("new", SystemTime::now() + Duration::from_secs(86_400)),
    ] {
        fs::File::options().write(true).open(site.path(name)).unwrap().set_modified(time).unwrap();
        let response = site.get(name).await;
        assert_eq!((response.status.as_u16(), response.field("last-modified")), (200, ""), "{name}");
        response.assert_sound();
    }
}
