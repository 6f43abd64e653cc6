//! The layer under axum.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use dunlin_http::ClientInfo;
use dunlin_limit::{Quota, RateLimitLayer};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

async fn send(router: &Router, ip: &str) -> Response<Body> {
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(ClientInfo::new(ip.parse().ok(), false));
    router.clone().oneshot(request).await.unwrap()
}

fn layer() -> RateLimitLayer {
    RateLimitLayer::new(Quota::new(1, Duration::from_secs(3600), 2).unwrap())
}

#[tokio::test]
async fn each_client_has_a_quota() {
    let router = Router::new().route("/", get(async || "hello")).layer(layer());
    for (ip, status) in [("10.0.0.1", 200), ("10.0.0.1", 200), ("10.0.0.1", 429), ("10.0.0.2", 200), ("10.0.0.1", 429)]
    {
        assert_eq!(send(&router, ip).await.status(), status, "{ip}");
    }
    let refused = send(&router, "10.0.0.1").await;
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3590..=3600).contains(&wait), "{wait}");
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(br#"{"status":429"#), "{body:?}");
}

#[tokio::test]
async fn a_dry_run_only_counts() {
    let layer = layer().dry_run();
    let router = Router::new().route("/", get(async || "hello")).layer(layer.clone());
    for _ in 0..5 {
        assert_eq!(send(&router, "10.0.0.1").await.status(), 200);
    }
    let stats = layer.limiter().stats();
    assert_eq!((stats.accepted, stats.refused), (2, 3));
}
