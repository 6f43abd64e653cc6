//! The proxy and the fetch service as handlers.

use dunlin_fetch::{Body, ClientInfo, Config, Context, FetchService, Handler, Proxy, ProxyConfig};
use http::Request;

use crate::support::{client, echo, lines};

/// The request that the upstream receives for `path` with this context.
async fn received(config: ProxyConfig, base: &str, path: &str, context: &Context) -> String {
    let proxy = Proxy::new(client(Config::default()), &echo().await.uri(base), config).unwrap();
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = proxy.handle(request, context).await.unwrap().into_response();
    String::from_utf8(response.into_body().collect(9999).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn the_rest_of_the_path_is_forwarded() {
    let mut context = Context::default();
    for (rest, keep_path, base, expect) in [
        (None, false, "/", "/app/x?y"),
        (None, false, "/base", "/base/app/x?y"),
        (Some(5), false, "/", "/x?y"),
        (Some(5), false, "/base/", "/base/x?y"),
        (Some(5), true, "/base", "/base/app/x?y"),
    ] {
        context.rest = rest;
        let config = ProxyConfig { keep_path, ..ProxyConfig::default() };
        let head = received(config, base, "/app/x?y", &context).await;
        assert!(head.starts_with(&format!("GET {expect} HTTP/1.1\r\n")), "{expect}: {head}");
    }
}

#[tokio::test]
async fn the_nearest_hop_is_forwarded() {
    let mut context = Context::default();
    context.client = ClientInfo::new("192.0.2.1".parse().ok(), true);
    let head = received(ProxyConfig::default(), "/", "/", &context).await;
    assert!(lines(&head).contains(&"x-forwarded-for: 192.0.2.1"), "{head}");
    assert!(lines(&head).contains(&"x-forwarded-proto: https"), "{head}");
    context.peer = Some(ClientInfo::new("10.0.0.1".parse().ok(), false));
    let head = received(ProxyConfig::default(), "/", "/", &context).await;
    assert!(lines(&head).contains(&"x-forwarded-for: 10.0.0.1"), "{head}");
}

#[tokio::test]
async fn a_fetch_service_is_a_handler() {
    let service = FetchService::new(client(Config::default()), &echo().await.uri("/page"), Some(9)).unwrap();
    let reply = service.handle(Request::new(Body::empty()), &()).await.unwrap();
    assert_eq!(reply.body().as_bytes(), Some(&b"GET /page"[..]));
}
