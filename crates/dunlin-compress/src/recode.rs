//! Content that came encoded, for a client that does not take the coding.
//!
//! An origin may answer with a coding that it chose for another client, and say nothing of it in
//! `Vary`; a cache then has it for all. Such content is decoded on the way, piece by piece: the
//! memory that it takes is that of the decoder's window, 8 MiB at most.

use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, list};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};

use crate::decompress::body;
use crate::future::Asked;
use crate::head;

/// Returns `true` if a response with this head is encoded, so that the coding has to be looked at.
pub(crate) fn concerns(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_ENCODING)
}

/// The response as it is, or decoded if the client does not take its coding. Both vary by
/// `Accept-Encoding`.
pub(crate) fn respond(asked: &Asked, mut parts: Parts, body: Body) -> Response<Body> {
    let Some(coding) = coding(&parts) else { return Response::from_parts(parts, body) };
    if asked.takes(coding) {
        head::varies(&mut parts.headers);
        return Response::from_parts(parts, body);
    }
    head::decoded(&mut parts.headers);
    let body = if asked.head || body.is_empty() { Body::empty() } else { body::decode(coding, body) };
    Response::from_parts(parts, body)
}

/// The one coding of the content, if the content is whole, may be transformed, and the coding is
/// known.
fn coding(parts: &Parts) -> Option<Coding> {
    if !concerns(&parts.headers) || matches!(parts.status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED) {
        return None;
    }
    // RFC 9111 §5.2.2.6.
    if list::elements(&parts.headers, &CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("no-transform")) {
        return None;
    }
    let mut codings =
        list::elements(&parts.headers, &CONTENT_ENCODING).filter(|name| !name.eq_ignore_ascii_case("identity"));
    let (Some(name), None) = (codings.next(), codings.next()) else { return None };
    Coding::from_token(name)
}
