//! The access line, which the log has for each request.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, Uri};

/// The parts of a request that its access line needs.
pub(crate) struct Access {
    method: Method,
    uri: Uri,
    /// The client's address.
    ip: Option<IpAddr>,
}

/// The parts of an access line that only the end of the response brings.
pub(crate) struct Line<'l> {
    pub(crate) route: &'l str,
    pub(crate) status: Option<StatusCode>,
    pub(crate) bytes: u64,
    /// The bytes that a client sent through a tunnel.
    pub(crate) received: Option<u64>,
    pub(crate) ttfb: Option<Duration>,
    pub(crate) duration: Duration,
    pub(crate) cache: Option<&'l HeaderValue>,
    /// The reason why the response is incomplete.
    pub(crate) aborted: Option<&'l str>,
}

// === impl Access ===

impl Access {
    pub(crate) fn new<B>(request: &Request<B>, ip: Option<IpAddr>) -> Box<Self> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Box::new(Self { method, uri, ip })
    }

    /// Writes the line, without the query, which may contain secrets.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let Line { route, status, bytes, received, ttfb, duration, cache, aborted } = *line;
        tracing::info!(
            target: "access",
            method = self.method.as_str(),
            path = self.uri.path(),
            route,
            status = status.map(|status| status.as_u16()),
            bytes,
            received,
            ttfb_ms = ttfb.map(millis),
            duration_ms = millis(duration),
            peer = self.ip.map(|ip| tracing::field::display(ip.to_canonical())),
            cache = cache.and_then(|value| value.to_str().ok()),
            aborted,
        );
    }
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
