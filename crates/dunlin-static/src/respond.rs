//! Step 5: the answer.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use dunlin_http::conditional::Outcome;
use dunlin_http::range::{ByteRange, Multipart, Selection};
use dunlin_http::{Body, BodyId, Mapped, Problem};
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED, LOCATION, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::entry::{Content, Variant};
use crate::stream::{Piece, Source, Stream};
use crate::{precondition, range};

/// What the methods of a file are.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// What is escaped in a segment of a path (RFC 3986 §3.3).
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

/// Answers with a representation: steps 3 to 5. `source` is where it is read from if it is not in
/// memory.
pub(crate) fn respond(
    variant: &Variant,
    method: &Method,
    request: &HeaderMap,
    now: SystemTime,
    source: Option<Source>,
) -> Response<Body> {
    match precondition::evaluate(variant, method, request) {
        Outcome::Proceed => {}
        Outcome::NotModified => return not_modified(variant),
        Outcome::Failed => return Problem::new(StatusCode::PRECONDITION_FAILED).into_response(),
    }
    match range::select(variant, method, request, now) {
        Selection::Whole => whole(variant, method, source),
        Selection::One(range) => one(variant, range, source),
        Selection::Many(ranges) => many(variant, &ranges, source),
        Selection::Unsatisfiable => Problem::new(StatusCode::RANGE_NOT_SATISFIABLE)
            .header(CONTENT_RANGE, dunlin_http::range::unsatisfied(variant.len))
            .header(ACCEPT_RANGES, HeaderValue::from_static("bytes"))
            .into_response(),
    }
}

fn answer(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn whole(variant: &Variant, method: &Method, source: Option<Source>) -> Response<Body> {
    let body = match (&variant.content, source) {
        // RFC 9110 §9.3.2: the header fields of a GET, without content.
        _ if *method == Method::HEAD => Body::empty(),
        (Content::Memory { bytes, id, mapping }, _) => in_memory(bytes.clone(), *id, mapping.as_ref()),
        (Content::Disk, Some(source)) => Stream::body(Some(source), vec![Piece::File(0..variant.len)]),
        (Content::Disk, None) => return unavailable(),
    };
    answer(StatusCode::OK, variant.head.clone(), body)
}

fn one(variant: &Variant, range: ByteRange, source: Option<Source>) -> Response<Body> {
    let body = match (&variant.content, source) {
        (Content::Memory { bytes, mapping, .. }, _) => in_memory(slice(bytes, range), None, mapping.as_ref()),
        (Content::Disk, Some(source)) => Stream::body(Some(source), vec![Piece::File(range.first..range.last + 1)]),
        (Content::Disk, None) => return unavailable(),
    };
    let mut headers = variant.head.clone();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.len()));
    headers.insert(CONTENT_RANGE, range.content_range(variant.len));
    answer(StatusCode::PARTIAL_CONTENT, headers, body)
}

/// RFC 9110 §14.6: each part has its own head, and the whole has none of the file's.
fn many(variant: &Variant, ranges: &[ByteRange], source: Option<Source>) -> Response<Body> {
    let parts = Multipart::new(variant.head.get(CONTENT_TYPE), variant.len);
    let mut pieces = Vec::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        pieces.push(Piece::Bytes(parts.head(*range)));
        pieces.push(match &variant.content {
            Content::Memory { bytes, .. } => Piece::Bytes(slice(bytes, *range)),
            Content::Disk => Piece::File(range.first..range.last + 1),
        });
    }
    pieces.push(Piece::Bytes(parts.end()));
    let length = pieces.iter().map(Piece::len).sum::<u64>();
    let mut headers = variant.head.clone();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_TYPE, parts.content_type());
    answer(StatusCode::PARTIAL_CONTENT, headers, Stream::body(source, pieces))
}

fn in_memory(bytes: Bytes, id: Option<BodyId>, mapping: Option<&Arc<dyn Mapped>>) -> Body {
    let body = match id {
        Some(id) => Body::identified(bytes, id),
        None => Body::from(bytes),
    };
    match mapping {
        Some(mapping) => body.mapped(Arc::clone(mapping)),
        None => body,
    }
}

fn slice(bytes: &Bytes, range: ByteRange) -> Bytes {
    bytes.slice(range.first as usize..range.last as usize + 1)
}

/// RFC 9110 §15.4.5: what a cache needs to go on with what it has, and nothing more.
fn not_modified(variant: &Variant) -> Response<Body> {
    let mut headers = HeaderMap::with_capacity(4);
    let wanted = if variant.validators.etag.is_some() { ETAG } else { LAST_MODIFIED };
    for name in [wanted, CACHE_CONTROL, VARY] {
        if let Some(value) = variant.head.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    answer(StatusCode::NOT_MODIFIED, headers, Body::empty())
}

/// A method that files do not have, or OPTIONS.
pub(crate) fn other_method(method: &Method) -> Response<Body> {
    if *method == Method::OPTIONS {
        let headers = HeaderMap::from_iter([(ALLOW, METHODS)]);
        return answer(StatusCode::NO_CONTENT, headers, Body::empty());
    }
    Problem::method_not_allowed(METHODS).into_response()
}

/// To the same folder with its slash. The reference is relative, so it is right wherever the root
/// is mounted.
pub(crate) fn redirect(path: &str, query: &str) -> Response<Body> {
    let name = path.rsplit('/').next().unwrap_or(path);
    // RFC 3986 §4.2: the dot segment keeps a colon in the name from making it a scheme.
    let location = format!("./{}/{query}", utf8_percent_encode(name, SEGMENT));
    let Ok(location) = HeaderValue::try_from(location) else { return not_found() };
    let headers = HeaderMap::from_iter([(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))]);
    answer(StatusCode::MOVED_PERMANENTLY, headers, Body::empty())
}

/// 404 without a page.
pub(crate) fn not_found() -> Response<Body> {
    Problem::new(StatusCode::NOT_FOUND).into_response()
}

/// 404 with a file as its content.
pub(crate) fn not_found_page(page: &Variant, method: &Method) -> Response<Body> {
    let Content::Memory { bytes, id, mapping } = &page.content else { return not_found() };
    let mut headers = HeaderMap::with_capacity(6);
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, VARY, X_CONTENT_TYPE_OPTIONS] {
        if let Some(value) = page.head.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let body = if *method == Method::HEAD { Body::empty() } else { in_memory(bytes.clone(), *id, mapping.as_ref()) };
    answer(StatusCode::NOT_FOUND, headers, body)
}

/// The disk fails, or changes faster than it can be read.
pub(crate) fn unavailable() -> Response<Body> {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).retry_after(1).into_response()
}
