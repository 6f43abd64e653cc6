//! [`RequestOptions`]: the settings of one request.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// The limit of interim responses to one request. A response after more of them is invalid.
pub(crate) const MAX_INTERIM: u32 = 32;

/// The settings that may differ from one request to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestOptions {
    /// As [`Config::response_timeout`](crate::Config::response_timeout).
    pub(crate) response_timeout: Duration,
    /// As [`Config::read_timeout`](crate::Config::read_timeout).
    pub(crate) read_timeout: Duration,
    /// The time to wait for 100 (Continue) before the body is sent. `None` sends it at once.
    pub(crate) expect_timeout: Option<Duration>,
    /// As [`Config::retry`](crate::Config::retry).
    pub(crate) retry: bool,
}

/// A callback for interim responses (RFC 9110 §15.2) other than 100 (Continue).
pub(crate) type OnInterim = Arc<dyn Fn(StatusCode, &HeaderMap) + Send + Sync>;
