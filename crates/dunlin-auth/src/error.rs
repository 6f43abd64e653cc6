//! [`Error`].

/// A file of users or keys, or a set of keys, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line is not `name:hash`. The text of the line is left out, because it may be a secret.
    #[error("line {line}: expected {expected}")]
    Line {
        /// The number of the line; the first is 1.
        line: usize,
        /// The form that a line must have.
        expected: &'static str,
    },
    /// A name stands in two lines.
    #[error("line {line}: a name that stands in an earlier line, too")]
    Duplicate {
        /// The number of the later line.
        line: usize,
    },
    /// A key is not one that signatures can be verified with.
    #[error("not a usable key: {0}")]
    Key(String),
    /// The keys cannot be fetched, and there are none from before.
    #[error("the keys cannot be fetched: {0}")]
    Fetch(String),
}
