//! RFC 9110 §9: methods.

use dunlin_static::Config;
use http::{Method, Request};
use tower::ServiceExt;

use crate::support::Site;

#[tokio::test]
async fn head_is_get_without_content() {
    let site = Site::new(&[("a.css", "a {}"), ("index.html", "<p>")], Config::default());
    for target in ["/a.css", "/", "/nothing"] {
        let get = site.get(target).await;
        let head = site.send(Method::HEAD, target, &[]).await;
        assert_eq!((head.status, head.body.len()), (get.status, if get.status == 404 { head.body.len() } else { 0 }));
        assert_eq!(head.headers, get.headers, "{target}");
    }
    let head = site.send(Method::HEAD, "/a.css", &[("range", "bytes=0-1")]).await;
    assert_eq!((head.status.as_u16(), head.field("content-length")), (200, "4"), "Range is for GET alone");
}

#[tokio::test]
async fn other_methods_get_the_allowed_ones() {
    let site = Site::new(&[("a.css", "a {}")], Config::default());
    let response = site.send(Method::OPTIONS, "/a.css", &[]).await;
    assert_eq!((response.status.as_u16(), response.field("allow")), (204, "GET, HEAD, OPTIONS"));
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::from_bytes(b"BREW").unwrap()] {
        let response = site.send(method, "/a.css", &[]).await;
        assert_eq!((response.status.as_u16(), response.field("allow")), (405, "GET, HEAD, OPTIONS"));
    }
}

#[tokio::test]
async fn it_is_a_service() {
    let site = Site::new(&[("a.css", "a {}")], Config::default());
    let request = Request::get("http://a.example/a.css?x").body(dunlin_http::Body::empty()).unwrap();
    let response = site.files.clone().oneshot(request).await.unwrap();
    assert_eq!(response.body().as_bytes(), Some(&b"a {}"[..]));
    assert!(response.body().id().is_some(), "a body in memory has an id");
}
