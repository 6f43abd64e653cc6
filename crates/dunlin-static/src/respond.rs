//! Step 5: makes the response.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use dunlin_http::conditional::Outcome;
use dunlin_http::range::{ByteRange, Multipart, Selection};
use dunlin_http::{Body, Problem};
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED, LOCATION, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::entry::{Content, Memory, Variant};
use crate::stream::{FileSource, Piece, Stream};
use crate::{precondition, range};

/// The methods that files support.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The characters that are escaped in a segment of a path (RFC 3986 §3.3).
pub(crate) const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The content that a body is made from.
pub(crate) enum Source<'a> {
    /// Bytes in memory.
    Memory(&'a Memory),
    /// An open file.
    File(FileSource),
}

/// Responds with a representation: steps 3 to 5. `source` has its content.
pub(crate) fn respond(
    variant: &Variant,
    source: Source<'_>,
    method: &Method,
    request: &HeaderMap,
    now: SystemTime,
) -> Response<Body> {
    match precondition::evaluate(variant, method, request) {
        Outcome::Proceed => {}
        Outcome::NotModified => return not_modified(variant),
        Outcome::Failed => return Problem::new(StatusCode::PRECONDITION_FAILED).into_response(),
    }
    match range::select(variant, method, request, now) {
        Selection::Whole => whole(variant, source, method),
        Selection::One(range) => one(variant, range, source),
        Selection::Many(ranges) => many(variant, &ranges, &source),
        Selection::Unsatisfiable => Problem::new(StatusCode::RANGE_NOT_SATISFIABLE)
            .header(CONTENT_RANGE, dunlin_http::range::unsatisfied(variant.len))
            .header(ACCEPT_RANGES, HeaderValue::from_static("bytes"))
            .into_response(),
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn whole(variant: &Variant, source: Source<'_>, method: &Method) -> Response<Body> {
    let body = match source {
        // RFC 9110 §9.3.2: the header fields of a GET, without content.
        _ if *method == Method::HEAD => Body::empty(),
        Source::Memory(memory) => memory_body(memory),
        Source::File(file) => Stream::body(vec![Piece::File(file, 0..variant.len)]),
    };
    response(StatusCode::OK, variant.head.clone(), body)
}

fn one(variant: &Variant, range: ByteRange, source: Source<'_>) -> Response<Body> {
    let body = match source {
        Source::Memory(memory) => with_mapping(Body::from(slice(&memory.bytes, range)), memory),
        Source::File(file) => Stream::body(vec![Piece::File(file, range.first..range.last + 1)]),
    };
    let mut headers = variant.head.clone();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.len()));
    headers.insert(CONTENT_RANGE, range.content_range(variant.len));
    response(StatusCode::PARTIAL_CONTENT, headers, body)
}

/// RFC 9110 §14.6: each part has a header of its own, and the response has no `Content-Range`.
fn many(variant: &Variant, ranges: &[ByteRange], source: &Source<'_>) -> Response<Body> {
    let parts = Multipart::new(variant.head.get(CONTENT_TYPE), variant.len);
    let mut pieces = Vec::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        pieces.push(Piece::Bytes(parts.head(*range)));
        pieces.push(match source {
            Source::Memory(memory) => Piece::Bytes(slice(&memory.bytes, *range)),
            Source::File(file) => Piece::File(file.clone(), range.first..range.last + 1),
        });
    }
    pieces.push(Piece::Bytes(parts.end()));
    let length = pieces.iter().map(Piece::len).sum::<u64>();
    let mut headers = variant.head.clone();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_TYPE, parts.content_type());
    response(StatusCode::PARTIAL_CONTENT, headers, Stream::body(pieces))
}

fn memory_body(memory: &Memory) -> Body {
    let bytes = memory.bytes.clone();
    let body = match memory.id {
        Some(id) => Body::identified(bytes, id),
        None => Body::from(bytes),
    };
    with_mapping(body, memory)
}

fn with_mapping(body: Body, memory: &Memory) -> Body {
    match &memory.mapping {
        Some(mapping) => body.mapped(Arc::clone(mapping)),
        None => body,
    }
}

fn slice(bytes: &Bytes, range: ByteRange) -> Bytes {
    bytes.slice(range.first as usize..range.last as usize + 1)
}

/// RFC 9110 §15.4.5: a 304 has the fields that a cache needs to update its response, and no others.
fn not_modified(variant: &Variant) -> Response<Body> {
    let mut headers = HeaderMap::with_capacity(4);
    let validator = if variant.validators.etag.is_some() { ETAG } else { LAST_MODIFIED };
    for name in [validator, CACHE_CONTROL, VARY] {
        if let Some(value) = variant.head.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    response(StatusCode::NOT_MODIFIED, headers, Body::empty())
}

/// Responds to OPTIONS, and to a method that files do not support.
pub(crate) fn other_method(method: &Method) -> Response<Body> {
    if *method == Method::OPTIONS {
        let headers = HeaderMap::from_iter([(ALLOW, METHODS)]);
        return response(StatusCode::NO_CONTENT, headers, Body::empty());
    }
    Problem::method_not_allowed(METHODS).into_response()
}

/// Redirects to the same folder with its slash. The reference is relative, so that it is right
/// under any prefix.
pub(crate) fn redirect(path: &str, query: &str) -> Response<Body> {
    let name = path.rsplit('/').next().unwrap_or(path);
    // RFC 3986 §4.2: the dot segment keeps a colon in the name from making it a scheme.
    let location = format!("./{}/{query}", utf8_percent_encode(name, SEGMENT));
    let Ok(location) = HeaderValue::try_from(location) else { return not_found() };
    let headers = HeaderMap::from_iter([(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))]);
    response(StatusCode::MOVED_PERMANENTLY, headers, Body::empty())
}

/// Responds with 404 and a problem document.
pub(crate) fn not_found() -> Response<Body> {
    Problem::new(StatusCode::NOT_FOUND).into_response()
}

/// Responds with 404 and a file as its content.
pub(crate) fn not_found_page(page: &Variant, method: &Method) -> Response<Body> {
    let Content::Memory(memory) = &page.content else { return not_found() };
    let mut headers = HeaderMap::with_capacity(6);
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, VARY, X_CONTENT_TYPE_OPTIONS] {
        if let Some(value) = page.head.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let body = if *method == Method::HEAD { Body::empty() } else { memory_body(memory) };
    response(StatusCode::NOT_FOUND, headers, body)
}

/// Responds with 503: the disk fails, or the file changes faster than it can be read.
pub(crate) fn unavailable() -> Response<Body> {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).retry_after(1).into_response()
}
