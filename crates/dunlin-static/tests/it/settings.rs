//! The effects of the configuration.

use std::time::Duration;

use dunlin_static::{Config, Error, Files};
use http::Method;

use crate::support::Site;

#[tokio::test]
async fn cache_control_by_rule() {
    let config =
        Config { cache: Some(Duration::from_secs(3600)), immutable: vec!["assets".into()], ..Config::default() };
    let names = ["index.html", "a.css", "app.3f9a0c1b.js", "assets/logo.svg"];
    let site = Site::new(&names.map(|name| (name, "x")), config);
    let immutable = "public, max-age=31536000, immutable";
    for (name, expect) in names.iter().zip(["no-cache", "max-age=3600", immutable, immutable]) {
        let response = site.get(name).await;
        assert_eq!(response.field("cache-control"), expect, "{name}");
        assert_eq!(response.field("x-content-type-options"), "nosniff", "{name}");
    }
    assert_eq!(site.get("/").await.field("cache-control"), "no-cache");
}

#[tokio::test]
async fn an_application_that_routes_in_the_browser() {
    let site = Site::new(&[("index.html", "app"), ("a.js", "x")], Config { spa: true, ..Config::default() });
    for target in ["/", "/users/7", "/users/", "/users"] {
        let response = site.get(target).await;
        assert_eq!((response.status.as_u16(), response.text()), (200, "app"), "{target}");
        assert_eq!(response.field("content-type"), "text/html; charset=utf-8");
        assert_eq!(response.field("cache-control"), "no-cache");
    }
    assert_eq!(site.get("/a.js").await.text(), "x");
    assert_eq!(site.get("/gone.js").await.status, 404);
    let navigation = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    assert_eq!(site.send(Method::GET, "/users/john.doe", &navigation).await.status, 200);
    assert_eq!(site.send(Method::GET, "/.env", &navigation).await.status, 404);
    assert_eq!(site.get("/../x").await.status, 404);
}

#[tokio::test]
async fn a_page_for_404() {
    let config = Config { not_found: Some("404.html".into()), ..Config::default() };
    let site = Site::new(&[("404.html", "<h1>gone</h1>")], config);
    for target in ["/nothing", "/../x", "/.env", "/a/b/"] {
        let response = site.get(target).await;
        assert_eq!((response.status.as_u16(), response.text()), (404, "<h1>gone</h1>"), "{target}");
        assert_eq!(response.field("content-type"), "text/html; charset=utf-8");
        assert_eq!(response.field("etag"), "", "the page is not the requested resource");
        let head = site.send(Method::HEAD, target, &[]).await;
        assert_eq!((head.status.as_u16(), head.field("content-length"), head.body.len()), (404, "13", 0));
    }
    std::fs::remove_file(site.path("404.html")).unwrap();
    let gone = Site::new(&[], Config { not_found: Some("404.html".into()), ..Config::default() });
    assert_eq!(gone.get("/nothing").await.field("content-type"), "application/problem+json");
}

#[tokio::test]
async fn configured_types_and_content_that_is_not_utf_8() {
    let config = Config { types: vec![("x".into(), "text/x-own".into())], ..Config::default() };
    let site = Site::new(&[("a.x", "ä"), ("b.x", "")], config);
    std::fs::write(site.path("b.x"), b"\xe4").unwrap();
    assert_eq!(site.get("a.x").await.field("content-type"), "text/x-own; charset=utf-8");
    assert_eq!(site.get("b.x").await.field("content-type"), "text/x-own");
}

#[tokio::test]
async fn memory_is_bounded() {
    let names: Vec<_> = (0..100).map(|n| format!("{n}.txt")).collect();
    let content = "x".repeat(10_000);
    let files: Vec<_> = names.iter().map(|name| (&**name, &*content)).collect();
    let site = Site::new(&files, Config { memory: 200_000, ..Config::default() });
    for _ in 0..2 {
        for name in &names {
            assert_eq!(site.get(name).await.body.len(), 10_000);
            assert!(site.files.stats().bytes <= 200_000);
        }
    }
    assert!(site.files.stats().files > 5, "{:?}", site.files.stats());
}

#[test]
fn invalid_settings_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let check = |config: Config| Files::new(folder.path(), config).unwrap_err().to_string();
    assert!(check(Config { index: vec!["a/b".into()], ..Config::default() }).starts_with("index: \"a/b\""));
    assert!(check(Config { memory: 0, ..Config::default() }).starts_with("memory: 0 bytes"));
    assert!(check(Config { not_found: Some("../x".into()), ..Config::default() }).starts_with("not_found: "));
    assert!(check(Config { types: vec![("x".into(), "y".into())], ..Config::default() }).starts_with("types: "));
    let error = Files::new(folder.path().join("nothing"), Config::default()).unwrap_err();
    assert!(matches!(error, Error::Root { .. }) && error.to_string().contains("nothing"), "{error}");
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert!(Files::new(folder.path().join("file"), Config::default()).is_err());
}
