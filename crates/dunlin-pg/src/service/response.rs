//! From an answer to a response.

use bytes::Bytes;
use dunlin_http::conditional::Outcome;
use dunlin_http::media_type::MediaType;
use dunlin_http::{Body, Problem};
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, LINK, LOCATION, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use smallvec::SmallVec;

use super::Inner;
use super::precondition::{self, etag};
use super::prefer::{self, Applied};
use super::request::RequestInfo;
use crate::declared::Declared;
use crate::error::{Error, ErrorKind};
use crate::json::Format;
use crate::pool::Answer;
use crate::query::{Access, MediaTypeSource, Place, Rows, Source};

/// The number of all rows of a list.
const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");
/// The media types of queries (RFC 10008 §3).
const ACCEPT_QUERY: HeaderName = HeaderName::from_static("accept-query");

// === impl Inner ===

impl Inner {
    pub(super) fn response(&self, answer: Result<Answer, Error>, info: RequestInfo) -> Response<Body> {
        match answer {
            Ok(Answer::Rows(bytes)) => self.whole(bytes, info, false),
            Ok(Answer::Part(bytes)) => self.whole(bytes, info, true),
            Ok(Answer::Raw { body, media_type }) => {
                let media_type = raw_type(&self.query, media_type.as_deref());
                let response = self.with_type(Response::new(Body::empty()), media_type);
                self.validated(response, body, info)
            }
            // A stream has no validator, so If-Match cannot hold.
            Ok(Answer::Stream(_)) if info.has(&IF_MATCH) => precondition_failed(),
            Ok(Answer::Stream(body)) => self.with_type(Response::new(body), content_type(info.format)),
            Ok(Answer::Changed(count)) if count > 0 || self.query.rows == Rows::Many => self.without_content(),
            Ok(Answer::None | Answer::Changed(_)) if self.query.skips_conflicts => {
                Problem::new(StatusCode::CONFLICT).detail("a row like this exists already").into_response()
            }
            Ok(Answer::None | Answer::Changed(_)) => {
                Problem::new(StatusCode::NOT_FOUND).detail("there is no such row").into_response()
            }
            Err(error) => {
                self.log(&error);
                let mut response = error.problem().into_response();
                if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
                    self.accept_query(response.headers_mut());
                }
                response
            }
        }
    }

    /// RFC 9110 §15.3.5: success without content.
    fn without_content(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let is_plain = self.query.status == StatusCode::OK;
        *response.status_mut() = if is_plain { StatusCode::NO_CONTENT } else { self.query.status };
        response
    }

    fn whole(&self, bytes: Bytes, info: RequestInfo, more: bool) -> Response<Body> {
        if self.writes(&info) {
            return self.written(bytes, &info);
        }
        let mut response = self.with_type(Response::new(Body::empty()), content_type(info.format));
        if let Some(page) = &info.page {
            let headers = response.headers_mut();
            page.links(more).map(|links| headers.insert(LINK, links));
            if let Some(count) = page.count {
                headers.insert(TOTAL_COUNT, count.into());
                Applied::Count.tell(headers);
            }
        }
        self.validated(response, bytes, info)
    }

    /// The response to a write that returns rows. RFC 9110 §8.8.3: they are no representation that
    /// a later request gets, so they have no tag.
    fn written(&self, bytes: Bytes, info: &RequestInfo) -> Response<Body> {
        let location = self.query.location.as_ref().and_then(|location| location.fill(&bytes));
        let applied = info.headers().and_then(prefer::returned);
        let is_redirect = self.query.status == StatusCode::SEE_OTHER;
        let mut response = if applied == Some(Applied::Minimal) || is_redirect {
            self.without_content()
        } else {
            self.with_type(Response::new(Body::from(bytes)), content_type(info.format))
        };
        let headers = response.headers_mut();
        location.map(|location| headers.insert(LOCATION, location));
        applied.filter(|_| !is_redirect).into_iter().for_each(|applied| applied.tell(headers));
        response
    }

    /// Adds the content and the entity tag, and evaluates the preconditions of a read.
    fn validated(&self, mut response: Response<Body>, bytes: Bytes, info: RequestInfo) -> Response<Body> {
        if self.writes(&info) {
            return response.map(|_| Body::from(bytes));
        }
        let etag = if info.page.is_none() && self.query.raw.is_none() {
            etag(&bytes, &[])
        } else {
            let headers = response.headers();
            let is_raw = self.query.raw.is_some();
            let own = [headers.get(LINK), headers.get(TOTAL_COUNT), headers.get(CONTENT_TYPE).filter(|_| is_raw)];
            etag(&bytes, &own.into_iter().flatten().collect::<SmallVec<[_; 3]>>())
        };
        let outcome = match info.fields {
            Some(fields) => precondition::of_read(&etag, &fields.0, &fields.1),
            None => Outcome::Proceed,
        };
        match outcome {
            Outcome::Failed => return precondition_failed(),
            Outcome::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response.headers_mut().remove(CONTENT_TYPE);
                response.headers_mut().remove(X_CONTENT_TYPE_OPTIONS);
            }
            Outcome::Proceed => *response.body_mut() = Body::from(bytes),
        }
        response.headers_mut().insert(ETAG, etag);
        response
    }

    fn with_type(&self, mut response: Response<Body>, media_type: HeaderValue) -> Response<Body> {
        *response.status_mut() = self.query.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, media_type);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(vary) = &self.vary {
            headers.insert(VARY, vary.clone());
        }
        self.accept_query(headers);
        response
    }

    /// Tells the media types of queries to this resource, if it takes any.
    fn accept_query(&self, headers: &mut HeaderMap) {
        if let Some(types) = &self.accept_query {
            headers.insert(ACCEPT_QUERY, types.clone());
        }
    }

    fn log(&self, error: &Error) {
        let query = self.query.name.as_str();
        match error.kind() {
            ErrorKind::Internal => tracing::error!(query, %error, "a query failed"),
            ErrorKind::Timeout => tracing::warn!(query, %error, "a query took too long"),
            // An outage has a line of its own, which one line per request would hide.
            _ => tracing::debug!(query, %error, "a query was refused"),
        }
    }

    /// Returns `true` if the answer is no representation of the resource.
    pub(super) fn writes(&self, info: &RequestInfo) -> bool {
        self.query.access == Access::Write || !info.reads
    }
}

/// The fields that choose the answer: `Accept` the format, `Prefer` the count of rows, and those
/// that are parameters.
pub(super) fn vary(query: &Declared) -> Option<HeaderValue> {
    let chosen = query.rows == Rows::Many && query.formats != Default::default();
    let sources = query.sources().iter();
    let headers = sources.clone().filter(|source| source.place() == Place::Header).map(Source::key);
    let cookies = sources.clone().any(|source| source.place() == Place::Cookie).then_some("cookie");
    let prefer = query.page.map(|_| "prefer");
    let names: Vec<&str> = chosen.then_some("accept").into_iter().chain(prefer).chain(headers).chain(cookies).collect();
    if names.is_empty() { None } else { HeaderValue::from_str(&names.join(", ")).ok() }
}

/// The media type of a format. The values are checked at compile time.
fn content_type(format: Format) -> HeaderValue {
    const JSON: HeaderValue = HeaderValue::from_static(Format::Json.content_type());
    const CSV: HeaderValue = HeaderValue::from_static(Format::Csv.content_type());
    const NDJSON: HeaderValue = HeaderValue::from_static(Format::Ndjson.content_type());
    match format {
        Format::Json => JSON,
        Format::Csv => CSV,
        Format::Ndjson => NDJSON,
    }
}

pub(super) fn precondition_failed() -> Response<Body> {
    Problem::new(StatusCode::PRECONDITION_FAILED).into_response()
}

/// RFC 6585 §3: a write without a condition could undo the change of another client.
pub(super) fn precondition_required() -> Response<Body> {
    Problem::new(StatusCode::PRECONDITION_REQUIRED)
        .detail("this request needs If-Match with the ETag of the current state, or If-None-Match: *")
        .into_response()
}

/// The tag of an answer that a GET of its query would have, or `None` if there is none.
pub(super) fn tag_of(query: &Declared, answer: &Answer) -> Option<HeaderValue> {
    match answer {
        Answer::Rows(bytes) => Some(etag(bytes, &[])),
        Answer::Raw { body, media_type } => Some(etag(body, &[&raw_type(query, media_type.as_deref())])),
        _ => None,
    }
}

/// The media type of a raw answer, from the query or from its row.
fn raw_type(query: &Declared, given: Option<&str>) -> HeaderValue {
    if let Some(MediaTypeSource::Fixed(value)) = query.raw.as_ref().map(|raw| &raw.media_type) {
        return value.clone();
    }
    let given = given.filter(|text| MediaType::parse(text).is_some()).and_then(|text| HeaderValue::from_str(text).ok());
    given.unwrap_or(HeaderValue::from_static("application/octet-stream"))
}
