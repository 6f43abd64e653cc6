//! The layer under axum.

use std::sync::Arc;

use axum::routing::get;
use axum::{Extension, Router};
use dunlin_auth::{ApiKey, ApiKeys, AuthLayer};
use dunlin_http::Identity;
use http::{HeaderName, Request};
use tower::ServiceExt as _;

#[tokio::test]
async fn an_axum_handler_knows_its_client() {
    let keys = ApiKeys::parse("bot:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
    let auth = AuthLayer::new(ApiKey::new(HeaderName::from_static("x-api-key"), keys, "api"));
    let hello =
        get(async |Extension(identity): Extension<Arc<Identity>>| format!("hello {}", identity.subject().unwrap()));
    let router = Router::new().route("/", hello).layer(auth);
    for (key, status, text) in [("abc", 200, "hello bot"), ("abd", 401, "{\"status\":401")] {
        let request = Request::builder().header("x-api-key", key).body(axum::body::Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        assert!(body.starts_with(text.as_bytes()), "{body:?}");
    }
}
