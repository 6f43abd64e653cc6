//! [`BodyError`]: the reason why a body could not be read.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{Full, LengthLimitError, Limited};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a body could not be read to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// The body has more than `limit` bytes. A server responds with 413 (RFC 9110 §15.5.14).
    TooLarge {
        /// The limit in bytes, or 0 if another crate's error did not contain it.
        limit: u64,
    },
    /// The sender made no progress in time. A server responds with 408 (RFC 9110 §15.5.9).
    Timeout,
    /// Any other reason: a reset connection, invalid framing.
    Other(BoxError),
}

// === impl BodyError ===

impl BodyError {
    /// Finds the reason in an error that other layers may have wrapped.
    #[must_use]
    pub fn from_boxed(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(same) => *same,
            Err(error) if is_length_limit(&*error) => Self::TooLarge { limit: 0 },
            Err(error) => match find(&*error) {
                Some(Self::TooLarge { limit }) => Self::TooLarge { limit: *limit },
                Some(Self::Timeout) => Self::Timeout,
                _ => Self::Other(error),
            },
        }
    }

    /// The status of the response to this error: 413, 408, or 400 for any other reason.
    #[must_use]
    pub const fn status(&self) -> http::StatusCode {
        match self {
            Self::TooLarge { .. } => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => http::StatusCode::REQUEST_TIMEOUT,
            Self::Other(_) => http::StatusCode::BAD_REQUEST,
        }
    }
}

/// Makes an error that axum's extractors respond to with 413. It does not contain the limit.
pub(crate) fn into_tower(error: BoxError) -> BoxError {
    match find(&*error) {
        Some(BodyError::TooLarge { .. }) => length_limit(),
        _ => error,
    }
}

/// A [`LengthLimitError`]. It has no constructor, so a body that is too long has to make it.
fn length_limit() -> BoxError {
    let mut body = Limited::new(Full::new(Bytes::from_static(b"x")), 0);
    match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Err(error))) => error,
        _ => BodyError::TooLarge { limit: 0 }.into(),
    }
}

fn is_length_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<LengthLimitError>())
}

fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a BodyError> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge { limit: 0 } => f.write_str("the body is too large"),
            Self::TooLarge { limit } => write!(f, "the body is larger than {limit} bytes"),
            Self::Timeout => f.write_str("the body made no progress in time"),
            Self::Other(error) => write!(f, "the body could not be read: {error}"),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Other(error) => Some(&**error),
            _ => None,
        }
    }
}
