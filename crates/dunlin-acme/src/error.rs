//! [`Error`]: settings that cannot be used.

use std::path::PathBuf;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No certificate can be had for this name.
    #[error("no certificate can be had for \"{name}\": {reason}")]
    Name {
        /// The name.
        name: String,
        /// The reason, for operators.
        reason: &'static str,
    },
    /// The URL of the directory cannot be used.
    #[error("the directory \"{0}\" is no https URL (RFC 8555 §6.1)")]
    Directory(String),
    /// The key of the external account cannot be used.
    #[error("the key of the external account is not base64url")]
    ExternalAccount,
    /// The file of authorities cannot be used.
    #[error("{}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}
