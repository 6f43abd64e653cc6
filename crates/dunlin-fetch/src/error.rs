//! [`Error`]: the reason for a failed request to an upstream, and its problem document.

use dunlin_http::{BodyError, BoxError, Problem};
use http::StatusCode;

/// The reason why there is no response from an upstream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL has another scheme than `http` and `https`, or no host.
    #[error("{0:?} is not an http or https URL with a host")]
    Uri(String),
    /// The certificates to trust could not be read.
    #[error("cannot read certificates: {0}")]
    Certificates(String),
    /// No connection: the name is unknown, the connection was refused, or its certificate is not
    /// trusted.
    #[error("{}", innermost(&**.0))]
    Connect(#[source] BoxError),
    /// No connection within the connect timeout.
    #[error("no connection within {0:?}")]
    ConnectTimeout(std::time::Duration),
    /// All connections to this upstream were in use for as long as a request may wait for one.
    #[error("all connections are in use; raise max_connections if the upstream can take more")]
    Busy,
    /// No server of an [`Upstream`](crate::Upstream) is up, or too many requests wait for one.
    #[error("no server of the upstream is up")]
    Unavailable,
    /// All servers of an [`Upstream`](crate::Upstream) have as many requests as they may.
    #[error("all servers have max_pending requests under way")]
    Overloaded,
    /// The servers of an [`Upstream`](crate::Upstream) cannot be used.
    #[error("{0}")]
    Servers(String),
    /// The upstream did not respond in time.
    #[error("no response within {0:?}")]
    Timeout(std::time::Duration),
    /// The response is malformed or incomplete.
    #[error("invalid response: {0}")]
    Protocol(#[source] BoxError),
    /// The body of the request could not be read.
    #[error("cannot read the request body: {0}")]
    RequestBody(#[source] BodyError),
    /// The request could not be built: an invalid URL, field or value.
    #[error("invalid request: {0}")]
    Request(#[source] BoxError),
    /// The body of the response could not be read.
    #[error("cannot read the response body: {0}")]
    ResponseBody(#[source] BodyError),
    /// The body of the response is not JSON, or not of the type that was asked for.
    #[error("cannot decode the response body: {0}")]
    Decode(#[source] BoxError),
    /// The text is longer than [`Config::max_text`](crate::Config::max_text).
    #[error("the text is larger than {0} bytes")]
    TooLarge(usize),
    /// The upstream responded with a status other than a success.
    #[error("the upstream responded with {0}")]
    Status(StatusCode),
    /// A redirect that cannot be followed.
    #[error("cannot follow the redirect: {0}")]
    Redirect(&'static str),
}

/// The text of the innermost cause, which is the most specific: `Connection refused (os error
/// 111)`.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

// === impl Error ===

impl Error {
    /// The status of a gateway's response to this error.
    ///
    /// A slow upstream is 504. No free connection and no server that is up are 503. A failed
    /// request body has a status of its own (413, 408, 400). All else is 502.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Timeout(_) | Self::ConnectTimeout(_) | Self::ResponseBody(BodyError::Timeout) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Busy | Self::Unavailable | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::RequestBody(error) => error.status(),
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Returns `true` if a time limit has passed.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::ConnectTimeout(_) | Self::ResponseBody(BodyError::Timeout))
    }

    /// Returns `true` if there was no connection.
    #[must_use]
    pub const fn is_connect(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::ConnectTimeout(_))
    }

    /// Returns `true` if the response has a status other than a success.
    #[must_use]
    pub const fn is_status(&self) -> bool {
        matches!(self, Self::Status(_))
    }

    /// Returns `true` if the request could not be built.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        matches!(self, Self::Request(_) | Self::Uri(_))
    }

    /// Returns `true` if the response is larger than its limit.
    #[must_use]
    pub const fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge(_) | Self::ResponseBody(BodyError::TooLarge { .. }))
    }

    /// The problem document for the client. It does not name the upstream, because its address is
    /// not public.
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.status());
        match self {
            Self::Timeout(_) | Self::ConnectTimeout(_) | Self::ResponseBody(BodyError::Timeout) => {
                problem.detail("the upstream took too long")
            }
            Self::Busy | Self::Overloaded => {
                problem.detail("too many requests are waiting for the upstream").retry_after(1)
            }
            Self::Unavailable => problem.detail("no server is up").retry_after(5),
            Self::RequestBody(error) => problem.detail(match error {
                BodyError::TooLarge { limit } => format!("the body is larger than {limit} bytes"),
                BodyError::Timeout => "the body made no progress in time".to_owned(),
                _ => "the body is incomplete".to_owned(),
            }),
            Self::Status(status) => {
                problem.detail("the upstream responded with an error").with("upstream_status", status.as_u16())
            }
            Self::Protocol(_) | Self::ResponseBody(_) | Self::Decode(_) => {
                problem.detail("the upstream's response is invalid")
            }
            Self::TooLarge(_) => problem.detail("the upstream's response is too large"),
            Self::Redirect(_) => problem.detail("the upstream's redirect cannot be followed"),
            _ => problem.detail("the upstream cannot be reached"),
        }
    }
}
