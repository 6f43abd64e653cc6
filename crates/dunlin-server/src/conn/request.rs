//! The form of requests that handlers see, the same for all versions of HTTP.

use bytes::Bytes;
use dunlin_http::target;
use http::header::{COOKIE, EXPECT, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};

use crate::framing::{is_host, members};

/// Brings a request into the form that handlers see: a target in origin form (or `*`), with its
/// path normalised if `normalises_paths`, and exactly one Host.
///
/// It runs first, so routers, caches, logs and upstreams see the same path. An error is the status
/// of the response.
#[inline]
pub(super) fn normalise<B>(request: &mut Request<B>, normalises_paths: bool) -> Result<(), StatusCode> {
    if request.version() == Version::HTTP_2 {
        check_http2(request)?;
        join_cookies(request.headers_mut());
    }
    if request.uri().authority().is_some() {
        take_authority(request)?;
    }
    if normalises_paths {
        let normal = target::normalise(request.uri()).map_err(|_| StatusCode::BAD_REQUEST)?;
        if let Some(normal) = normal {
            *request.uri_mut() = normal;
        }
    }
    Ok(())
}

/// RFC 9112 §3.2.2 and RFC 9113 §8.3.1: the target's authority replaces Host.
fn take_authority<B>(request: &mut Request<B>) -> Result<(), StatusCode> {
    let uri = std::mem::take(request.uri_mut());
    let mut parts = uri.into_parts();
    let authority = parts.authority.take().ok_or(StatusCode::BAD_REQUEST)?;
    if !is_host(authority.as_str().as_bytes()) {
        return Err(StatusCode::BAD_REQUEST);
    }
    if request.version() == Version::HTTP_2 {
        let differs = |host: &HeaderValue| !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
        if request.headers().get_all(HOST).iter().any(differs) {
            return Err(StatusCode::BAD_REQUEST);
        }
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| StatusCode::BAD_REQUEST)?;
    request.headers_mut().insert(HOST, host);
    let target = match parts.path_and_query {
        Some(target) if !target.as_str().is_empty() => with_path(target)?,
        _ => PathAndQuery::from_static("/"),
    };
    *request.uri_mut() = Uri::from(target);
    Ok(())
}

/// RFC 9112 §3.2.1: an empty path is sent as `/`, also in front of a query.
fn with_path(target: PathAndQuery) -> Result<PathAndQuery, StatusCode> {
    if !target.as_str().starts_with('?') {
        return Ok(target);
    }
    let target = Bytes::from(["/", target.as_str()].concat());
    PathAndQuery::from_maybe_shared(target).map_err(|_| StatusCode::BAD_REQUEST)
}

/// Checks a request of HTTP/2 for errors that the framing finds in HTTP/1.1.
fn check_http2<B>(request: &Request<B>) -> Result<(), StatusCode> {
    if request.method() == Method::CONNECT {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    if request.uri().authority().is_none() {
        // RFC 9113 §8.3.1: without :authority there may be a Host; without both there is no target.
        let mut hosts = request.headers().get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) if is_host(host.as_bytes()) => {}
            _ => return Err(StatusCode::BAD_REQUEST),
        }
    }
    // RFC 9113 §8.3.1: `:path` begins with a slash, or is `*` for OPTIONS. RFC 3986 §2: it is
    // ASCII.
    match request.uri().path_and_query().map_or("", PathAndQuery::as_str) {
        "*" if request.method() == Method::OPTIONS => {}
        path if path.starts_with('/') && path.is_ascii() => {}
        _ => return Err(StatusCode::BAD_REQUEST),
    }
    // RFC 9113 §8.2.1: "A field value MUST NOT start or end with an ASCII whitespace character".
    let is_padded = |value: &HeaderValue| {
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last())
    };
    if request.headers().values().any(is_padded) { Err(StatusCode::BAD_REQUEST) } else { Ok(()) }
}

/// Joins the cookie fields, which a client may split for compression (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut fields = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(_)) = (fields.next(), fields.next()) {
        let mut joined = first.as_bytes().to_vec();
        for field in headers.get_all(COOKIE).iter().skip(1) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(field.as_bytes());
        }
        if let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(joined)) {
            headers.insert(COOKIE, joined);
        }
    }
}

/// Returns `true` if the client waits for a 100 (Continue) before it sends the body. An empty list
/// is no expectation (RFC 9110 §5.6.1).
pub(super) fn awaits_continue<B>(request: &Request<B>) -> Result<bool, StatusCode> {
    let mut awaits = false;
    for value in request.headers().get_all(EXPECT) {
        for expectation in members(value.as_bytes()) {
            if expectation.eq_ignore_ascii_case(b"100-continue") {
                awaits = true;
            } else if !expectation.is_empty() {
                // RFC 9110 §10.1.1: any other expectation may be answered 417.
                return Err(StatusCode::EXPECTATION_FAILED);
            }
        }
    }
    Ok(awaits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Version, uri: &str, normalises_paths: bool, expect: Result<&str, u16>) {
        let mut request = Request::builder().version(version).uri(uri).body(()).unwrap();
        request.headers_mut().insert(HOST, HeaderValue::from_static("a"));
        let normalised = normalise(&mut request, normalises_paths).map_err(|status| status.as_u16());
        assert_eq!(normalised.map(|()| request.uri().to_string()), expect.map(str::to_owned), "{uri}");
    }

    #[test]
    fn a_target_has_one_form() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            check(version, "http://a/x/../%61?q=%61", true, Ok("/a?q=%61"));
            check(version, "http://a/x/../%61", false, Ok("/x/../%61"));
            check(version, "http://a", true, Ok("/"));
        }
        for normalises_paths in [false, true] {
            check(Version::HTTP_11, "http://a?b/c", normalises_paths, Ok("/?b/c"));
            check(Version::HTTP_2, "http://a?b/c", normalises_paths, Err(400));
        }
        check(Version::HTTP_2, "http://b/", true, Err(400));
        check(Version::HTTP_2, "http://a/\u{e4}", true, Err(400));
        check(Version::HTTP_11, "/x//./y", true, Ok("/x/y"));
    }
}
