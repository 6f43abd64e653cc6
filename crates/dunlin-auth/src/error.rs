//! [`Error`]: users or keys that cannot be used.

/// The reason why users or keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line is not `name:hash`. The error has no text of it, because it may be a secret.
    #[error("line {line}: expected {expected}")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// The form that a line must have.
        expected: &'static str,
    },
    /// Two lines have the same name.
    #[error("line {line}: the name is in an earlier line, too; remove one of them")]
    Duplicate {
        /// The number of the later line.
        line: usize,
    },
    /// A key cannot verify signatures.
    #[error("not a usable key: {0}")]
    Key(String),
    /// The keys cannot be fetched, and there are no earlier ones.
    #[error("the keys cannot be fetched: {0}")]
    Fetch(String),
}
