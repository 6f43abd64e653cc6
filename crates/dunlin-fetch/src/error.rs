//! Why a fetch failed, and what a client is told of it.

use dunlin_http::{BodyError, BoxError, Problem};
use http::StatusCode;

/// Why there is no answer from upstream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL has another scheme than `http` and `https`, or no host.
    #[error("{0:?} is not an http or https URL with a host")]
    Uri(String),
    /// The certificates to trust could not be read.
    #[error("cannot read certificates: {0}")]
    Certificates(String),
    /// Nobody answers there: no such name, refused, no trust.
    #[error("{}", innermost(&**.0))]
    Connect(#[source] BoxError),
    /// No connection came about within the connect timeout.
    #[error("no connection within {0:?}")]
    ConnectTimeout(std::time::Duration),
    /// All connections to this upstream were taken for as long as a request may wait for one.
    #[error("all connections are taken")]
    Busy,
    /// The upstream did not answer in time.
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
    /// The answer is malformed, or it broke off.
    #[error("the answer is broken: {0}")]
    Protocol(#[source] BoxError),
    /// The body of the request could not be read.
    #[error("the request's body failed: {0}")]
    RequestBody(#[source] BodyError),
    /// The text is longer than the bound.
    #[error("the text is larger than {0} bytes")]
    TooLarge(usize),
    /// The upstream answered, but not with a success.
    #[error("the upstream answered {0}")]
    Status(StatusCode),
    /// A redirect that cannot be followed.
    #[error("cannot follow the redirect: {0}")]
    Redirect(&'static str),
}

/// The text of the last cause, which says most: `Connection refused (os error 111)`.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

// === impl FetchError ===

impl FetchError {
    /// The status a gateway tells this with: 504 when the upstream was too slow, 503 when it was
    /// not asked for want of a connection, the body's own status (413, 408, 400) when the request's
    /// body failed, else 502.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Timeout(_) | Self::ConnectTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::RequestBody(error) => error.status(),
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// What a client is told. It says what happened, but not where: the upstream's name is none of
    /// its business.
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.status());
        match self {
            Self::Timeout(_) | Self::ConnectTimeout(_) => problem.detail("the upstream took too long"),
            Self::Busy => problem.detail("too many requests are waiting for the upstream").retry_after(1),
            Self::RequestBody(error) => problem.detail(match error {
                BodyError::TooLarge { limit } => format!("the body is larger than {limit} bytes"),
                BodyError::Timeout => "the body made no progress in time".to_owned(),
                _ => "the body broke off".to_owned(),
            }),
            Self::Status(status) => {
                problem.detail("the upstream answered with an error").with("upstream_status", status.as_u16())
            }
            Self::Protocol(_) => problem.detail("the upstream's answer is broken"),
            Self::TooLarge(_) => problem.detail("the upstream's answer is too large"),
            Self::Redirect(_) => problem.detail("the upstream redirects to where this service does not follow"),
            _ => problem.detail("the upstream cannot be reached"),
        }
    }
}
