//! [`QueryError`]: a declaration that cannot work.

use std::fmt;

/// A declaration that cannot work, as far as that is known without the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError(String);

// === impl QueryError ===

impl QueryError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for QueryError {}
