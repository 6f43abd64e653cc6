//! Answers made from what is stored (RFC 9111 §4): the header with `Age` and `Cache-Status`, and as
//! much of the content as was asked for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use dunlin_http::range::{self, ByteRange, Multipart, Selection};
use dunlin_http::{Body, Reply, StoredReply};
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::entry::{CACHE_STATUS, Entry, Head};
use crate::live::Live;
use crate::memo::{self, Fields};
use crate::policy::{s3_4_partial, s4_3_validation};
use crate::status::{self, CacheStatus};
use crate::trailed::Trailed;

/// What an answer is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct For<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    /// It asks for no part and sets no condition; `false` where that is not known.
    pub(crate) plain: bool,
    pub(crate) now: SystemTime,
    /// The cache's name in `Cache-Status`.
    pub(crate) name: &'a str,
}

/// As [`entry`], ready to be sent when it is all of what is stored, as it is stored.
pub(crate) fn reply(entry: &Arc<Entry>, request: For<'_>, status: CacheStatus<'_>) -> Option<Reply> {
    match ready(entry, &request, &status) {
        Some(ready) => Some(ready.into()),
        None => self::entry(entry, request, status).map(Reply::Response),
    }
}

/// A plain hit: a GET that has no wishes, and of which the stored head has all to say but `Age` and
/// `Cache-Status`.
fn ready(entry: &Arc<Entry>, request: &For<'_>, status: &CacheStatus<'_>) -> Option<StoredReply> {
    let head = &entry.head;
    let whole = entry.status == StatusCode::OK && entry.part.is_none() && entry.trailers.is_none();
    let plain = request.plain && *request.method == Method::GET && is_common(head, status);
    if !whole || !plain || head.told.changes() || entry.body.is_empty() || entry.lines.is_none() {
        return None;
    }
    let age = head.age(request.now);
    let ttl = status::ttl(head.rules.lifetime, age);
    let make = || fields(head, *request, (age, ttl), status.clone());
    let ahead = memo::ahead(request.name, (age.as_secs(), ttl), make);
    StoredReply::new(Arc::clone(entry) as _, ahead, Body::identified(entry.body.clone(), entry.id))
}

/// Whether what changes in this head is the same for all that are as old and good for as long.
fn is_common(head: &Head, status: &CacheStatus<'_>) -> bool {
    status.is_plain_hit() && head.upstream_status.is_none()
}

/// The answer from a stored response. For a part that does not have what is asked for there is
/// none.
pub(crate) fn entry(entry: &Entry, request: For<'_>, status: CacheStatus<'_>) -> Option<Response<Body>> {
    let mut headers = header(&entry.head, request, status);
    // §4.3.2: preconditions are for what would be a 200 or a 206 without them.
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
        let asked = s3_4_partial::asked(request.headers).filter(|_| ranged)?;
        let (at, count) = s3_4_partial::within(asked, part, entry.body.len() as u64)?;
        let body = entry.body.slice(at as usize..(at + count) as usize);
        headers.insert(CONTENT_RANGE, s3_4_partial::content_range(part.first + at, count, part.whole));
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
        Some(trailers) => Body::new(Trailed::new(entry.body.clone(), HeaderMap::clone(trailers))),
    };
    Some(response(entry.status, headers, body))
}

/// What is asked for of a stored whole.
fn selection(entry: &Entry, mut headers: HeaderMap, selected: &Selection) -> Response<Body> {
    let length = entry.body.len() as u64;
    let slice = |range: &ByteRange| entry.body.slice(range.first as usize..=range.last as usize);
    let (status, body) = match selected {
        Selection::One(range) => {
            headers.insert(CONTENT_RANGE, range.content_range(length));
            (StatusCode::PARTIAL_CONTENT, slice(range))
        }
        Selection::Many(ranges) => {
            // Copied: they do not overlap, so that all of them are no more than the whole.
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

/// The answer from a response that is coming in; `None` when it is too late to read it from the
/// beginning.
pub(crate) fn live(live: &Arc<Live>, request: For<'_>, status: CacheStatus<'_>) -> Option<Response<Body>> {
    let mut headers = header(&live.head, request, status);
    let head = &live.head;
    if head.status == StatusCode::OK
        && s4_3_validation::not_modified(request.method, request.headers, &head.headers, head.received)
    {
        s4_3_validation::not_modified_fields(&mut headers);
        return Some(response(StatusCode::NOT_MODIFIED, headers, Body::empty()));
    }
    // A range may be ignored (RFC 9110 §14.2), and is while the whole is not there yet.
    let body = if *request.method == Method::HEAD { Body::empty() } else { Body::new(live.reader()?) };
    Some(response(head.status, headers, body))
}

fn header(head: &Head, request: For<'_>, status: CacheStatus<'_>) -> HeaderMap {
    let tells = status.hit || status.collapsed;
    let age = head.age(request.now);
    let ttl = status::ttl(head.rules.lifetime, age);
    let is_common = is_common(head, &status);
    let make = || fields(head, request, (age, ttl), status);
    let fields = if is_common { memo::fields(request.name, (age.as_secs(), ttl), make) } else { make() };
    let mut headers = head.headers.clone();
    // RFC 9111 §5.1: an Age tells that the origin did not generate or validate this answer for this
    // request.
    let aged = tells || age.as_secs() > 0;
    if !(aged && fill_first(&mut headers, &fields)) {
        if aged {
            headers.insert(AGE, fields.age);
        } else {
            headers.remove(AGE);
        }
        headers.insert(CACHE_STATUS, fields.status);
    }
    head.told.write(&mut headers, age);
    headers
}

/// The fields that change, for an answer of this age and time to live.
fn fields(head: &Head, request: For<'_>, (age, ttl): (Duration, i64), mut status: CacheStatus<'_>) -> Fields {
    status.ttl = Some(ttl);
    Fields { age: seconds(age.as_secs()), status: status.to_value(request.name, head.upstream_status.as_ref()) }
}

/// Fills the places that stand first in an entry's header; `false` when they do not.
fn fill_first(headers: &mut HeaderMap, fields: &Fields) -> bool {
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

/// A number as a value (RFC 9111 §1.2.2: at most 2^31).
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
