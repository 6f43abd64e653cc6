//! Responses of the server itself.

use dunlin_http::{Body, Problem};
use http::header::ALLOW;
use http::{HeaderValue, Response, StatusCode};

use crate::ledger::Ledger;

/// The methods that the server implements, for `Allow` of a 405 (RFC 9110 §15.5.6).
const IMPLEMENTED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// A problem response to a request that does not reach a handler.
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

/// The response of a handler that panicked. The panic ends only its own connection.
#[cold]
pub(super) fn panicked(panic: &(dyn std::any::Any + Send), ledger: Option<&Ledger>) -> Response<Body> {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(
        message = message.unwrap_or("of unknown kind"),
        "a handler panicked; answering 500 and closing the connection"
    );
    if let Some(ledger) = ledger {
        ledger.count_panic();
    }
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "")
}

/// The response to `OPTIONS *`.
pub(crate) fn capabilities() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, IMPLEMENTED);
    response
}
