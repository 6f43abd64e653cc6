//! What the server answers by itself.

use bytes::Bytes;
use dunlin_http::{Body, Clock, Problem, date};
use http::header::ALLOW;
use http::{HeaderValue, Response, StatusCode};

use super::state::State;
use crate::framing::Reject;

/// RFC 9110 §15.5.6: a 405 says what is allowed. These are the methods that this server implements.
const IMPLEMENTED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// The server's own answer to a request that was read but is not to be handled.
pub(crate) fn refuse(status: StatusCode, detail: &str) -> Response<Body> {
    let mut problem = Problem::new(status);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        problem = problem.header(ALLOW, IMPLEMENTED);
    }
    if !detail.is_empty() {
        problem = problem.detail(detail);
    }
    problem.into_response()
}

/// The answer where a service panicked. One bug in one handler is to cost no more than its own connection.
#[cold]
pub(super) fn panicked(panic: &(dyn std::any::Any + Send), state: Option<&State>) -> Response<Body> {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(message = message.unwrap_or("of unknown kind"), "a service panicked");
    if let Some(state) = state {
        state.count_panic();
    }
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "")
}

/// The answer to `OPTIONS *`.
pub(crate) fn capabilities() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, IMPLEMENTED);
    response
}

/// The last answer on a connection whose next bytes are no request, as it goes onto the wire. One to HEAD has no
/// content (RFC 9110 §9.3.2).
pub(super) fn last_answer(reject: Reject, to_head: bool) -> Bytes {
    let (parts, body) = refuse(reject.status, reject.detail).into_parts();
    let body = body.try_into_bytes().unwrap_or_default();
    let mut out = Vec::with_capacity(256 + body.len());
    let reason = parts.status.canonical_reason().unwrap_or("");
    out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", parts.status.as_str()).as_bytes());
    for (name, value) in &parts.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("content-length: {}\r\nconnection: close\r\ndate: ", body.len()).as_bytes());
    out.extend_from_slice(date::format(Clock::system().now()).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    if !to_head {
        out.extend_from_slice(&body);
    }
    out.into()
}
