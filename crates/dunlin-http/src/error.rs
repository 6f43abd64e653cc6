//! [`Error`]: a text that cannot be parsed.

/// The reason why a text cannot be parsed.
///
/// A body that cannot be read has an error of its own, [`BodyError`](crate::BodyError).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is not a [`Network`](crate::Network).
    #[error("{0:?} is neither an address nor a network such as 10.0.0.0/8")]
    Network(String),
    /// The target of a request does not begin with a slash.
    #[error("the target does not begin with a slash")]
    TargetWithoutSlash,
    /// The target of a request is not a path after it was normalised.
    #[error("the target is not a path")]
    Target,
}
