//! The statuses of an origin that failed (RFC 5861 §4, RFC 9111 §4.2.4).

use http::StatusCode;

/// Returns `true` if the origin, or a gateway before it, failed (RFC 5861 §4).
pub(crate) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Returns `true` if a gateway could not reach the origin.
pub(crate) fn is_unreachable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502 | 504)
}
