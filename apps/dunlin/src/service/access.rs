//! The access line, which the log has for each request.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri};

use crate::fields::REQUEST_ID;

/// The parts of a request that its access line needs.
pub(crate) struct Access {
    method: Method,
    uri: Uri,
    /// The client's address.
    ip: Option<IpAddr>,
    request_id: Option<HeaderValue>,
}

/// The parts of an access line that only the end of the response brings.
pub(crate) struct Line<'l> {
    pub(crate) route: &'l str,
    /// The subject of a verified client.
    pub(crate) user: Option<&'l str>,
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
    pub(crate) fn new<B>(request: &Request<B>, ip: Option<IpAddr>, request_id: bool) -> Box<Self> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let request_id = request_id.then(|| request.headers().get(REQUEST_ID).cloned()).flatten();
        Box::new(Self { method, uri, ip, request_id })
    }

    /// Copies the parts that lie in the buffer of the request. A response that lasts would hold it.
    pub(crate) fn detach(&mut self) {
        let path = Bytes::copy_from_slice(self.uri.path().as_bytes());
        if let Ok(uri) = Uri::from_maybe_shared(path) {
            self.uri = uri;
        }
        let id = self.request_id.as_ref().map(|id| HeaderValue::from_bytes(id.as_bytes()));
        self.request_id = id.and_then(Result::ok);
    }

    /// Writes the line, without the query, which may contain secrets.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let Line { route, user, status, bytes, received, ttfb, duration, cache, aborted } = *line;
        tracing::info!(
            target: "access",
            method = self.method.as_str(),
            path = self.uri.path(),
            route,
            user,
            status = status.map(|status| status.as_u16()),
            bytes,
            received,
            ttfb_ms = ttfb.map(millis),
            duration_ms = millis(duration),
            peer = self.ip.map(|ip| tracing::field::display(ip.to_canonical())),
            cache = cache.and_then(|value| value.to_str().ok()),
            aborted,
            request_id = self.request_id.as_ref().and_then(|id| id.to_str().ok()),
        );
    }
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
