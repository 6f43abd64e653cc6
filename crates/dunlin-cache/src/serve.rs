//! Replies made from stored responses (RFC 9111 §4): the header with `Age` and `Cache-Status`, and
//! the requested part of the content.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use dunlin_http::range::{self, ByteRange, Multipart, Selection};
use dunlin_http::{Body, Reply, StoredReply};
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::body_with_trailers::BodyWithTrailers;
use crate::entry::Entry;
use crate::field_names::CACHE_STATUS;
use crate::head::Head;
use crate::hit_fields::{self, Freshness, HitFields};
use crate::policy::{s3_4_partial, s4_3_validation};
use crate::status::{self, CacheStatus};
use crate::streaming_entry::StreamingEntry;

/// The circumstances of a reply: the request, the time, and the cache that replies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    /// `true` if the request is known to have no range and no condition.
    pub(crate) plain: bool,
    pub(crate) now: SystemTime,
    /// The cache's name in `Cache-Status`.
    pub(crate) cache_name: &'a str,
}

/// As [`stored`], with the stored head if the reply needs no other change than its volatile fields.
pub(crate) fn reply(entry: &Arc<Entry>, request: RequestContext<'_>, status: CacheStatus<'_>) -> Option<Reply> {
    match stored_reply(entry, &request, &status) {
        Some(reply) => Some(reply.into()),
        None => stored(entry, request, status).map(Reply::Response),
    }
}

/// The reply of a plain hit: a GET without range and condition, whose stored head lacks only `Age`
/// and `Cache-Status`.
fn stored_reply(entry: &Arc<Entry>, request: &RequestContext<'_>, status: &CacheStatus<'_>) -> Option<StoredReply> {
    let head = &entry.head;
    let whole = entry.status == StatusCode::OK && entry.part.is_none() && entry.trailers.is_none();
    let plain = request.plain && *request.method == Method::GET && is_common(head, status);
    if !whole
        || !plain
        || head.client_freshness.is_written_per_reply()
        || entry.body.is_empty()
        || entry.lines.is_none()
    {
        return None;
    }
    let age = head.age(request.now);
    let ttl = status::ttl(head.rules.lifetime, age);
    let freshness = Freshness { age: age.as_secs(), ttl };
    let make = || fields(head, *request, freshness, status.clone());
    let lines = hit_fields::lines(request.cache_name, freshness, make);
    StoredReply::new(Arc::clone(entry) as _, lines, Body::identified(entry.body.clone(), entry.id))
}

/// Returns `true` if the volatile fields depend on the age and the time to live alone.
fn is_common(head: &Head, status: &CacheStatus<'_>) -> bool {
    status.is_plain_hit() && head.upstream_status.is_none()
}

/// The response to a request from an entry. Returns `None` if the entry is a part that does not
/// contain the requested range.
pub(crate) fn stored(entry: &Entry, request: RequestContext<'_>, status: CacheStatus<'_>) -> Option<Response<Body>> {
    let mut headers = header(&entry.head, request, status);
    // RFC 9111 §4.3.2: preconditions apply to responses that are 200 or 206 without them.
    let content = matches!(entry.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    if content
        && !request.plain
        && s4_3_validation::not_modified(request.method, request.headers, &entry.headers, entry.received)
    {
        s4_3_validation::not_modified_fields(&mut headers);
        return Some(response(StatusCode::NOT_MODIFIED, headers, Body::empty()));
    }
    let ranged = !request.plain
        && *request.method == Method::GET
        && request.headers.contains_key(RANGE)
        && s3_4_partial::if_range_holds(request.headers, &entry.headers);
    if let Some(part) = entry.part {
        let requested = s3_4_partial::requested(request.headers).filter(|_| ranged)?;
        let s3_4_partial::Span { first, count } = s3_4_partial::within(requested, part, entry.body.len() as u64)?;
        let body = entry.body.slice(first as usize..(first + count) as usize);
        headers.insert(CONTENT_RANGE, s3_4_partial::content_range(part.first + first, count, part.whole));
        headers.insert(CONTENT_LENGTH, count.into());
        return Some(response(StatusCode::PARTIAL_CONTENT, headers, body.into()));
    }
    if ranged && entry.status == StatusCode::OK {
        let selected = range::resolve(request.headers, entry.body.len() as u64);
        if selected != Selection::Whole {
            return Some(selection(entry, headers, &selected));
        }
    }
    let body = match &entry.trailers {
        _ if *request.method == Method::HEAD => Body::empty(),
        None => Body::identified(entry.body.clone(), entry.id),
        Some(trailers) => Body::new(BodyWithTrailers::new(entry.body.clone(), HeaderMap::clone(trailers))),
    };
    Some(response(entry.status, headers, body))
}

/// The requested ranges of a complete entry.
fn selection(entry: &Entry, mut headers: HeaderMap, selected: &Selection) -> Response<Body> {
    let length = entry.body.len() as u64;
    let slice = |range: &ByteRange| entry.body.slice(range.first as usize..=range.last as usize);
    let (status, body) = match selected {
        Selection::One(range) => {
            headers.insert(CONTENT_RANGE, range.content_range(length));
            (StatusCode::PARTIAL_CONTENT, slice(range))
        }
        Selection::Many(ranges) => {
            // Copied: ranges do not overlap, so together they are no larger than the whole.
            let parts = Multipart::new(headers.get(CONTENT_TYPE), length);
            let mut body = BytesMut::new();
            for range in ranges {
                body.extend_from_slice(&parts.head(*range));
                body.extend_from_slice(&slice(range));
            }
            body.extend_from_slice(&parts.end());
            headers.insert(CONTENT_TYPE, parts.content_type());
            (StatusCode::PARTIAL_CONTENT, body.freeze())
        }
        Selection::Whole | Selection::Unsatisfiable => {
            headers.insert(CONTENT_RANGE, range::unsatisfied(length));
            (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new())
        }
    };
    headers.insert(CONTENT_LENGTH, body.len().into());
    response(status, headers, body.into())
}

/// The response to a request from one that is still arriving. Returns `None` if its beginning is no
/// longer there.
pub(crate) fn streaming(
    entry: &Arc<StreamingEntry>,
    request: RequestContext<'_>,
    status: CacheStatus<'_>,
) -> Option<Response<Body>> {
    let mut headers = header(&entry.head, request, status);
    let head = &entry.head;
    if head.status == StatusCode::OK
        && s4_3_validation::not_modified(request.method, request.headers, &head.headers, head.received)
    {
        s4_3_validation::not_modified_fields(&mut headers);
        return Some(response(StatusCode::NOT_MODIFIED, headers, Body::empty()));
    }
    // RFC 9110 §14.2: a range may be ignored, and it is until the body is complete.
    let body = if *request.method == Method::HEAD { Body::empty() } else { Body::new(entry.reader()?) };
    Some(response(head.status, headers, body))
}

fn header(head: &Head, request: RequestContext<'_>, status: CacheStatus<'_>) -> HeaderMap {
    let reused = status.hit || status.collapsed;
    let age = head.age(request.now);
    let ttl = status::ttl(head.rules.lifetime, age);
    let is_common = is_common(head, &status);
    let freshness = Freshness { age: age.as_secs(), ttl };
    let make = || fields(head, request, freshness, status);
    let fields = if is_common { hit_fields::fields(request.cache_name, freshness, make) } else { make() };
    let mut headers = head.headers.clone();
    // RFC 9111 §5.1: Age implies that the origin did not generate or validate the response for this
    // request.
    let aged = reused || age.as_secs() > 0;
    if !(aged && fill_first(&mut headers, &fields)) {
        if aged {
            headers.insert(AGE, fields.age);
        } else {
            headers.remove(AGE);
        }
        headers.insert(CACHE_STATUS, fields.status);
    }
    head.client_freshness.write(&mut headers, age);
    headers
}

/// The volatile fields of a reply.
fn fields(head: &Head, request: RequestContext<'_>, freshness: Freshness, mut status: CacheStatus<'_>) -> HitFields {
    status.ttl = Some(freshness.ttl);
    let status = status.to_value(request.cache_name, head.upstream_status.as_ref());
    HitFields { age: seconds(freshness.age), status }
}

/// Fills the placeholders at the start of an entry's header. Returns `false` if they are elsewhere.
fn fill_first(headers: &mut HeaderMap, fields: &HitFields) -> bool {
    let mut first = headers.iter_mut();
    match (first.next(), first.next()) {
        (Some((one, age)), Some((other, status))) if *one == AGE && *other == CACHE_STATUS => {
            age.clone_from(&fields.age);
            status.clone_from(&fields.status);
            true
        }
        _ => false,
    }
}

/// A number of seconds as a value (RFC 9111 §1.2.2: at most 2^31).
fn seconds(count: u64) -> HeaderValue {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(count.min(1 << 31));
    HeaderValue::from_maybe_shared(BytesMut::from(digits.as_bytes()).freeze()).unwrap_or(HeaderValue::from_static("0"))
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
