//! The line of the log that each request gets.

use std::sync::Arc;
use std::time::Duration;

use dunlin_server::Connection;
use http::{HeaderValue, Method, Request, StatusCode, Uri};

/// What has to be kept of a request for its line.
pub(crate) struct Access {
    method: Method,
    uri: Uri,
    connection: Arc<Connection>,
}

/// What the line says besides.
pub(crate) struct Line<'l> {
    pub(crate) route: &'l str,
    pub(crate) status: Option<StatusCode>,
    pub(crate) bytes: u64,
    pub(crate) ttfb: Option<Duration>,
    pub(crate) duration: Duration,
    pub(crate) cache: Option<&'l HeaderValue>,
    /// Why the answer is not whole.
    pub(crate) aborted: Option<&'l str>,
}

// === impl Access ===

impl Access {
    pub(crate) fn new<B>(request: &Request<B>, connection: &Arc<Connection>) -> Box<Self> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Box::new(Self { method, uri, connection: connection.clone() })
    }

    /// Writes the line. The query is left out: it may have secrets in it.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let Line { route, status, bytes, ttfb, duration, cache, aborted } = *line;
        tracing::info!(
            target: "access",
            method = self.method.as_str(),
            path = self.uri.path(),
            route,
            status = status.map(|status| status.as_u16()),
            bytes,
            ttfb_ms = ttfb.map(millis),
            duration_ms = millis(duration),
            peer = self.connection.remote().map(|peer| tracing::field::display(peer.ip().to_canonical())),
            cache = cache.and_then(|value| value.to_str().ok()),
            aborted,
        );
    }
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
