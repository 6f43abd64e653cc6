//! Why a body could not be read.

/// Any error, on its way to somebody who can tell what it was.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body could not be read to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// More than `limit` bytes came, or were announced. A server answers 413 (RFC 9110 §15.5.14).
    TooLarge {
        /// The most that was allowed, in bytes.
        limit: u64,
    },
    /// The sender made no progress in time. A server answers 408 (RFC 9110 §15.5.9).
    Timeout,
    /// Anything else: a reset connection, broken framing.
    Other(BoxError),
}

// === impl BodyError ===

impl BodyError {
    /// Finds the reason in an error that came through other layers' boxes.
    #[must_use]
    pub fn from_boxed(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(same) => *same,
            Err(error) => match find(&*error) {
                Some(Self::TooLarge { limit }) => Self::TooLarge { limit: *limit },
                Some(Self::Timeout) => Self::Timeout,
                _ => Self::Other(error),
            },
        }
    }

    /// The status that tells a client of this: 413, 408, or 400 for a body that broke off.
    #[must_use]
    pub const fn status(&self) -> http::StatusCode {
        match self {
            Self::TooLarge { .. } => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => http::StatusCode::REQUEST_TIMEOUT,
            Self::Other(_) => http::StatusCode::BAD_REQUEST,
        }
    }
}

fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a BodyError> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
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
