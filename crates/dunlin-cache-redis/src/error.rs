//! [`Error`].

use std::path::PathBuf;

/// The reason why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL does not name a Redis or Valkey server.
    #[error("not the URL of a Redis or Valkey server: {0}")]
    Url(#[source] redis::RedisError),
    /// The file of certificates cannot be read.
    #[error("{0}: cannot be read: {1}")]
    Certificates(PathBuf, #[source] std::io::Error),
    /// The system refused a thread or its event loop.
    #[error("cannot start a thread for the shared cache: {0}")]
    Thread(#[source] std::io::Error),
}
