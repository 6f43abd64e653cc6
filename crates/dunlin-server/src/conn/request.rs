//! The one form that services see requests in, whichever version of HTTP they came by.

use http::header::{COOKIE, EXPECT, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};

use crate::framing::{is_host, members};

/// Brings a request into the one form that services see: a target in origin form (or `*`), and exactly one Host.
pub(super) fn normalise<B>(request: &mut Request<B>) -> Result<(), StatusCode> {
    if request.uri().authority().is_some() {
        normalise_target(request)?;
    } else if request.version() == Version::HTTP_2 {
        // RFC 9113 §8.3.1: without :authority there may be a Host; without both there is no target.
        let mut hosts = request.headers().get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) if is_host(host.as_bytes()) => {}
            _ => return Err(StatusCode::BAD_REQUEST),
        }
    }
    if request.version() == Version::HTTP_2 {
        check_http2(request)?;
        join_cookies(request.headers_mut());
    }
    Ok(())
}

/// RFC 9113 §8.2.3: a client may have split the one field of cookies, for the sake of compression.
fn join_cookies(headers: &mut HeaderMap) {
    let mut fields = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(_)) = (fields.next(), fields.next()) {
        let mut joined = first.as_bytes().to_vec();
        for field in headers.get_all(COOKIE).iter().skip(1) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(field.as_bytes());
        }
        if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
            headers.insert(COOKIE, joined);
        }
    }
}

/// RFC 9112 §3.2.2 and RFC 9113 §8.3.1: the target's authority replaces Host.
fn normalise_target<B>(request: &mut Request<B>) -> Result<(), StatusCode> {
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
    parts.scheme = None;
    let path = parts.path_and_query.filter(|path| !path.as_str().is_empty());
    let path = path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
    *request.uri_mut() = http::Uri::from(path);
    Ok(())
}

/// What the framing sees to in HTTP/1.1.
fn check_http2<B>(request: &Request<B>) -> Result<(), StatusCode> {
    if request.method() == Method::CONNECT {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    // RFC 9113 §8.3.1: `*` is for OPTIONS alone.
    if request.uri().path() == "*" && request.method() != Method::OPTIONS {
        return Err(StatusCode::BAD_REQUEST);
    }
    // RFC 9113 §8.2.1: "A field value MUST NOT start or end with an ASCII whitespace character".
    let is_padded = |value: &HeaderValue| {
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        blank(value.as_bytes().first()) || blank(value.as_bytes().last())
    };
    if request.headers().values().any(is_padded) { Err(StatusCode::BAD_REQUEST) } else { Ok(()) }
}

/// Whether the client waits for a 100 (Continue) before it sends the body. RFC 9110 §10.1.1: an expectation other than
/// this may be answered 417. An empty list is none (RFC 9110 §5.6.1).
pub(super) fn awaits_continue<B>(request: &Request<B>) -> Result<bool, StatusCode> {
    let mut awaits = false;
    for value in request.headers().get_all(EXPECT) {
        for expectation in members(value.as_bytes()) {
            if expectation.eq_ignore_ascii_case(b"100-continue") {
                awaits = true;
            } else if !expectation.is_empty() {
                return Err(StatusCode::EXPECTATION_FAILED);
            }
        }
    }
    Ok(awaits)
}
