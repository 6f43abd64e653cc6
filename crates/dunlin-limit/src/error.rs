//! [`Error`].

/// A quota that no request or every request would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `requests` or `burst` is zero.
    #[error("a rate limit must allow at least one request")]
    Zero,
    /// The period is zero, or longer than a year.
    #[error("the period of a rate limit must be longer than zero and at most a year")]
    Period,
    /// More requests per period than one per nanosecond.
    #[error("a rate limit must allow at most one request per nanosecond")]
    TooFast,
}
