//! [`Error`]: the reason why a site could not be examined.

/// The reason why a site could not be examined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not a URL of http or https with a host.
    #[error("{0:?} is not an http or https URL, such as https://example.com/")]
    Url(String),
    /// The URL contains a user name or a password.
    #[error("a URL with a user name or a password is not examined, because a report is passed on")]
    Credentials,
    /// The file of trusted certificates cannot be used.
    #[error("{path}: {reason}")]
    Authorities {
        /// The file.
        path: String,
        /// The reason.
        reason: String,
    },
    /// There is no connection to the server.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// The host and the port.
        host: String,
        /// The reason.
        reason: String,
    },
    /// The server did not answer a request.
    #[error("no response from {url}: {reason}")]
    Response {
        /// The URL.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The site leads from one URL to the next too many times.
    #[error("{0} leads to another page more than five times")]
    Redirects(String),
}
