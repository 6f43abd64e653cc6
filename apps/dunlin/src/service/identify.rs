//! The decision who the client of a request is.

use dunlin_http::{Body, ClientInfo, forwarded};
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{Request, Uri};

use super::RouteState;

/// Decides who the client is, and removes the fields that claim otherwise, before anything uses or
/// stores them. The request gets the scheme and the host that the client used.
pub(super) fn identify(route: &RouteState, request: &mut Request<Body>, peer: ClientInfo) -> ClientInfo {
    if !route.reads_fields && route.trusted.is_empty() {
        // Neither a cache nor a handler nor a condition reads such a field.
        return peer;
    }
    let client = forwarded::identify(request.headers_mut(), peer, &route.trusted);
    if !route.trusted.is_empty()
        && is_trusted(route, peer)
        && let Some(uri) = effective_uri(request, client)
    {
        *request.uri_mut() = uri;
    }
    client
}

/// Returns `true` if the peer is a proxy that the route trusts.
pub(super) fn is_trusted(route: &RouteState, peer: ClientInfo) -> bool {
    peer.ip.is_some_and(|ip| route.trusted.iter().any(|network| network.contains(ip)))
}

/// The URI with the client's scheme and host, for a request that has both in its URI, as over
/// HTTP/2. A cache takes them from there.
fn effective_uri(request: &Request<Body>, client: ClientInfo) -> Option<Uri> {
    let mut parts = request.uri().clone().into_parts();
    parts.authority.as_ref()?;
    if let Some(host) = request.headers().get(HOST) {
        parts.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    }
    parts.scheme = Some(if client.https { Scheme::HTTPS } else { Scheme::HTTP });
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_has_the_scheme_and_the_host_of_the_client() {
        #[track_caller]
        fn check(uri: &str, host: Option<&str>, https: bool, expect: Option<&str>) {
            let mut request = Request::get(uri);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let request = request.body(Body::empty()).unwrap();
            let uri = effective_uri(&request, ClientInfo::new(None, https)).map(|uri| uri.to_string());
            assert_eq!(uri.as_deref(), expect);
        }
        check("/path", Some("a.example"), true, None);
        check("http://own/path?q", Some("a.example"), true, Some("https://a.example/path?q"));
        check("https://own/path", None, false, Some("http://own/path"));
    }
}
