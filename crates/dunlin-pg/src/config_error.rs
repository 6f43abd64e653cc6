//! [`ConfigError`]: a configuration that cannot work.

use std::fmt;

/// A configuration that cannot work. Its text never contains a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

// === impl ConfigError ===

impl ConfigError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}
