//! [`Problem`]: an error response to a client (RFC 9457).

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use crate::Body;

/// A problem document (RFC 9457): `application/problem+json` with `status`, `title`, `detail` and
/// extension members.
///
/// It contains only what helps the client. The cause belongs in the log.
#[derive(Clone, Debug)]
#[must_use]
pub struct Problem {
    status: StatusCode,
    detail: Option<String>,
    members: Map<String, Value>,
    headers: HeaderMap,
}

// === impl Problem ===

impl Problem {
    /// Makes a problem with this status. Its title is the reason phrase (RFC 9457 §4.2.1).
    pub fn new(status: StatusCode) -> Self {
        Self { status, detail: None, members: Map::new(), headers: HeaderMap::new() }
    }

    /// Sets the detail, a sentence for people: what is wrong with this request, and what to do.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds an extension member, for programs (RFC 9457 §3.2).
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Sets a header field of the response.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the seconds after which the client may retry (RFC 9110 §10.2.3).
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header(RETRY_AFTER, seconds.into())
    }

    /// Makes a 405 (RFC 9110 §15.5.6). `allow` is the value of the `Allow` field.
    pub fn method_not_allowed(allow: HeaderValue) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED).header(ALLOW, allow)
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Makes the response. It may not be stored, even if its status is cacheable by default (RFC
    /// 9111 §3).
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let title = self.status.canonical_reason().unwrap_or("Unknown");
        let mut document = format!("{{\"status\":{},\"title\":{}", self.status.as_u16(), Value::from(title));
        let detail = self.detail.map(|detail| ("detail".to_owned(), detail.into()));
        for (name, value) in detail.into_iter().chain(self.members) {
            document.push_str(&format!(",{}:{value}", Value::from(name)));
        }
        document.push('}');
        let mut response = Response::new(Body::from(document));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(Generated);
        response
    }
}

/// The extension of a response that a [`Problem`] became. It tells the errors of this service from
/// those of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated;

impl From<Problem> for Response<Body> {
    fn from(problem: Problem) -> Self {
        problem.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_status_title_detail_and_members() {
        let response = Problem::new(StatusCode::BAD_REQUEST)
            .detail("\"abc\" is not a bigint")
            .with("parameter", "user_id")
            .retry_after(3)
            .into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["retry-after"], "3");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body: Value = serde_json::from_slice(response.body().as_bytes().unwrap()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"status": 400, "title": "Bad Request", "detail": "\"abc\" is not a bigint", "parameter": "user_id"})
        );
    }
}
