//! What the server answers by itself.

use dunlin_http::{Body, Problem};
use http::header::ALLOW;
use http::{HeaderValue, Response, StatusCode};

use crate::ledger::Ledger;

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
pub(super) fn panicked(panic: &(dyn std::any::Any + Send), ledger: Option<&Ledger>) -> Response<Body> {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(message = message.unwrap_or("of unknown kind"), "a service panicked");
    if let Some(ledger) = ledger {
        ledger.count_panic();
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
