//! Answers made from what is stored (RFC 9111 §4): the header with `Age` and `Cache-Status`, and as much of the content as was
//! asked for.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::BytesMut;
use dunlin_http::Body;
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::entry::{CACHE_STATUS, Entry, Head};
use crate::live::Live;
use crate::memo::{Fields, Memo};
use crate::policy::s3_4_partial::{self, Satisfied};
use crate::policy::s4_3_validation;
use crate::status::{self, CacheStatus};

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

/// The answer from a stored response. For a part that does not have what is asked for there is none.
pub(crate) fn entry(entry: &Entry, request: For<'_>, status: CacheStatus<'_>) -> Option<Response<Body>> {
    let mut headers = header(&entry.head, Some(&entry.memo), request, status);
    // §4.3.2: preconditions are for what would be a 200 or a 206 without them.
    let content = matches!(entry.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    if content
        && !request.plain
        && s4_3_validation::not_modified(request.method, request.headers, &entry.headers, entry.received)
    {
        s4_3_validation::not_modified_fields(&mut headers);
        return Some(response(StatusCode::NOT_MODIFIED, headers, Body::empty()));
    }
    let asked = if request.plain { None } else { s3_4_partial::asked(request.headers) };
    let asked = asked
        .filter(|_| *request.method == Method::GET && s3_4_partial::if_range_holds(request.headers, &entry.headers));
    if let Some(part) = entry.part {
        let (at, count) = s3_4_partial::within(asked?, part, entry.body.len() as u64)?;
        let body = entry.body.slice(at as usize..(at + count) as usize);
        headers.insert(CONTENT_RANGE, s3_4_partial::content_range(part.first + at, count, part.whole));
        headers.insert(CONTENT_LENGTH, count.into());
        return Some(response(StatusCode::PARTIAL_CONTENT, headers, body.into()));
    }
    if let Some(asked) = asked.filter(|_| entry.status == StatusCode::OK) {
        return Some(range(entry, headers, asked));
    }
    let body =
        if *request.method == Method::HEAD { Body::empty() } else { Body::identified(entry.body.clone(), entry.id) };
    Some(response(entry.status, headers, body))
}

/// A range of a stored whole.
fn range(entry: &Entry, mut headers: HeaderMap, asked: s3_4_partial::Asked) -> Response<Body> {
    let length = entry.body.len() as u64;
    match s3_4_partial::satisfy(asked, length) {
        Satisfied::Bytes(first, count) => {
            headers.insert(CONTENT_RANGE, s3_4_partial::content_range(first, count, Some(length)));
            headers.insert(CONTENT_LENGTH, count.into());
            let body = entry.body.slice(first as usize..(first + count) as usize);
            response(StatusCode::PARTIAL_CONTENT, headers, body.into())
        }
        Satisfied::Not => {
            let whole = HeaderValue::try_from(format!("bytes */{length}"));
            headers.insert(CONTENT_RANGE, whole.unwrap_or(HeaderValue::from_static("bytes */*")));
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            response(StatusCode::RANGE_NOT_SATISFIABLE, headers, Body::empty())
        }
    }
}

/// The answer from a response that is coming in; `None` when it is too late to read it from the beginning.
pub(crate) fn live(live: &Arc<Live>, request: For<'_>, status: CacheStatus<'_>) -> Option<Response<Body>> {
    let mut headers = header(&live.head, None, request, status);
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

fn header(head: &Head, memo: Option<&Memo>, request: For<'_>, mut status: CacheStatus<'_>) -> HeaderMap {
    let age = head.age(request.now);
    let ttl = status::ttl(head.rules.lifetime, age);
    status.ttl = Some(ttl);
    let make =
        || Fields { age: seconds(age.as_secs()), status: status.to_value(request.name, head.upstream_status.as_ref()) };
    let fields = match memo {
        Some(memo) if status.is_plain_hit() => memo.get((age.as_secs(), ttl), make),
        _ => make(),
    };
    let mut headers = head.headers.clone();
    // RFC 9111 §5.1: an Age tells that the origin did not generate or validate this answer for this request.
    if status.hit || status.collapsed || age.as_secs() > 0 {
        headers.insert(AGE, fields.age);
    } else {
        headers.remove(AGE);
    }
    headers.insert(CACHE_STATUS, fields.status);
    head.told.write(&mut headers, age);
    headers
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
