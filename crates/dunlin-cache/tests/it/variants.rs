//! Requests that an origin can distinguish get responses of their own.

use axum::Router;
use axum::routing::get;
use dunlin_cache::{Cache, Config, RoutePolicy};
use dunlin_http::Body;
use http::{HeaderValue, Request, Response};
use tower::{Layer as _, Service, ServiceExt as _};

async fn ask(
    service: impl Service<Request<Body>, Response = Response<Body>, Error: std::fmt::Debug>,
    path: &str,
    fields: &[(&str, &[u8])],
) -> String {
    let mut request = Request::builder().uri(path).header("host", "a").body(Body::empty()).unwrap();
    for (name, value) in fields {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    let body = service.oneshot(request).await.unwrap().into_body().collect(1 << 20).await.unwrap();
    String::from_utf8_lossy(&body).into_owned()
}

#[tokio::test]
async fn nested_routers_with_their_prefixes() {
    let cache = Cache::new(Config::default());
    let inner = |name: &'static str, prefix: &str| {
        let policy = RoutePolicy {
            age: Some(std::time::Duration::from_secs(60)),
            prefix: prefix.into(),
            ..RoutePolicy::default()
        };
        Router::new().route("/me", get(async move || name)).layer(cache.layer(policy))
    };
    let router: Router = Router::new().nest("/v1", inner("one", "/v1")).nest("/v2", inner("two", "/v2"));
    let service = tower::ServiceBuilder::new()
        .map_response(|response: Response<axum::body::Body>| response.map(Body::new))
        .service(router);
    let get = |path: &'static str| {
        let service = service.clone();
        let request =
            tower::util::MapRequest::new(service, |request: Request<Body>| request.map(axum::body::Body::new));
        async move { ask(request, path, &[]).await }
    };
    for _ in 0..2 {
        assert_eq!((get("/v1/me").await, get("/v2/me").await), ("one".into(), "two".into()));
    }
    assert_eq!(cache.stats().hits, 2);
    // The whole path purges.
    cache.purge_url(&"http://a/v1/me".parse().unwrap());
    get("/v1/me").await;
    get("/v2/me").await;
    assert_eq!(cache.stats().hits, 3);
}

/// Answers with the value of `x-u`, and varies by it.
fn echoing(
    cache: &Cache,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible, Future: Send> + Clone + use<>
{
    let handler = tower::service_fn(async |request: Request<Body>| {
        let value = request.headers().get("x-u").map_or(&b"none"[..], |value| value.as_bytes()).to_vec();
        let named = request.headers().contains_key("connection") && !request.headers().contains_key("x-u");
        let body = if named { b"without".to_vec() } else { value };
        let response = Response::builder().header("cache-control", "max-age=60").header("vary", "x-u");
        Ok(response.body(Body::from(body)).unwrap())
    });
    cache.layer(RoutePolicy::default()).layer(handler)
}

#[tokio::test]
async fn values_are_compared_byte_for_byte() {
    let service = echoing(&Cache::new(Config::default()));
    for value in [&b"\xff"[..], b"\xfe", b"alice,", b"alice", b"a,,b", b"a,b", b"a, b"] {
        let expect = String::from_utf8_lossy(value).into_owned();
        for _ in 0..2 {
            assert_eq!(ask(service.clone(), "/", &[("x-u", value)]).await, expect, "{value:?}");
        }
    }
}

#[tokio::test]
async fn a_field_that_connection_names_selects_nothing() {
    let service = echoing(&Cache::new(Config::default()));
    let attack: &[(&str, &[u8])] = &[("x-u", b"de"), ("connection", b"x-u")];
    assert_eq!(ask(service.clone(), "/", attack).await, "without");
    assert_eq!(ask(service, "/", &[("x-u", b"de")]).await, "de");
}
