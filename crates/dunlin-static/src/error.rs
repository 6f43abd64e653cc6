//! [`Error`].

use std::path::PathBuf;

/// The reason why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root cannot be opened as a folder.
    #[error("cannot open the folder {}: {source}", path.display())]
    Root {
        /// The path that was passed to [`Files::new`](crate::Files::new).
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A setting is invalid.
    #[error("{setting}: {problem}")]
    Setting {
        /// Its name in [`Config`](crate::Config).
        setting: &'static str,
        /// The fault, and a value that would work.
        problem: String,
    },
}
