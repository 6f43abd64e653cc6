//! Decodes a response that the handler encoded, for a client that does not accept the coding.
//!
//! An origin may send a coding that it chose for another client, without `Vary`. A cache then
//! serves it to all clients. Such content is decoded while it is sent. Its memory is the decoder's
//! window, at most 8 MiB.

use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, fields, list};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};

use crate::decompress::body;
use crate::head;
use crate::request::RequestInfo;

/// Returns `true` if a response with this header is encoded, so that its coding has to be compared
/// with `Accept-Encoding`.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    fields::has(headers, &CONTENT_ENCODING)
}

/// Passes a response on, decoded if the client does not accept its coding. An encoded response
/// varies by `Accept-Encoding` in both cases.
pub(crate) fn respond(request: &RequestInfo, mut parts: Parts, body: Body) -> Response<Body> {
    let Some(coding) = coding(&parts) else { return Response::from_parts(parts, body) };
    if request.accepts(coding) {
        head::varies(&mut parts.headers);
        return Response::from_parts(parts, body);
    }
    head::decoded(&mut parts.headers);
    let body = if request.is_head || body.is_empty() { Body::empty() } else { body::decode(coding, body) };
    Response::from_parts(parts, body)
}

/// The coding of the content. Returns `None` if the content is partial, must not be transformed, or
/// does not have exactly one known coding.
fn coding(parts: &Parts) -> Option<Coding> {
    if !is_encoded(&parts.headers) || matches!(parts.status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED) {
        return None;
    }
    // RFC 9111 §5.2.2.6: the content must not be transformed.
    if list::elements(&parts.headers, &CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("no-transform")) {
        return None;
    }
    let mut codings =
        list::elements(&parts.headers, &CONTENT_ENCODING).filter(|name| !name.eq_ignore_ascii_case("identity"));
    let (Some(name), None) = (codings.next(), codings.next()) else { return None };
    Coding::from_token(name)
}
