//! The access line, which the log has for each request.

mod cache;
mod combined;
mod fields;
mod json;
mod pretty;
mod redact;
mod settings;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dunlin_http::{ClientInfo, Clock, UpstreamSlot};
use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version};

use super::journal;
use super::queue::Urgency;
use super::sinks::{Form, Sink};
use crate::fields::REQUEST_ID;
pub(crate) use settings::AccessLog;

/// The parts of a request that its access line needs.
pub(crate) struct Access {
    method: Method,
    uri: Uri,
    version: Version,
    client: ClientInfo,
    /// The address of the peer of the connection.
    peer: Option<IpAddr>,
    /// The version of TLS on the connection.
    tls: Option<&'static str>,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    upstream: Option<UpstreamSlot>,
}

/// The connection that a request came on.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    /// The client of the request.
    pub(crate) client: ClientInfo,
    /// The peer of the connection.
    pub(crate) peer: ClientInfo,
    /// The version of TLS on the connection.
    pub(crate) tls: Option<&'static str>,
}

/// The parts of an access line that only the end of the response brings.
#[derive(Clone, Copy)]
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

/// A request, its end, and the settings: everything that a form of the line is made of.
#[derive(Clone, Copy)]
struct Entry<'l> {
    access: &'l Access,
    line: &'l Line<'l>,
    settings: &'l AccessLog,
    now: SystemTime,
}

// === impl Access ===

impl Access {
    pub(crate) fn new<B>(
        request: &Request<B>,
        origin: Origin,
        request_id: bool,
        upstream: Option<UpstreamSlot>,
    ) -> Box<Self> {
        let field = |name| request.headers().get(name).cloned();
        Box::new(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            client: origin.client,
            peer: origin.peer.ip,
            tls: origin.tls,
            host: field(HOST).filter(|_| request.uri().authority().is_none()),
            user_agent: field(USER_AGENT),
            referer: field(REFERER),
            request_id: request_id.then(|| field(REQUEST_ID)).flatten(),
            upstream,
        })
    }

    /// Copies the parts that lie in the buffer of the request. A response that lasts would hold it.
    pub(crate) fn detach(&mut self) {
        if let Ok(uri) = Uri::from_maybe_shared(Bytes::copy_from_slice(self.uri.to_string().as_bytes())) {
            self.uri = uri;
        }
        for field in [&mut self.host, &mut self.user_agent, &mut self.referer, &mut self.request_id] {
            *field = field.take().and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        }
    }

    /// Writes the line, unless it is one of those that sampling leaves out.
    pub(crate) fn write(&self, line: &Line<'_>, settings: &AccessLog) {
        if !settings.keeps(line, fastrand::f64) {
            return;
        }
        let Sink { form, target } = super::sinks().access;
        let entry = Entry { access: self, line, settings, now: Clock::system().now() };
        let mut out = Vec::with_capacity(1024);
        match form {
            Form::Json => json::write(&mut out, &entry),
            Form::Pretty => pretty::write(&mut out, &entry),
            Form::Combined => combined::write(&mut out, &entry),
            Form::Journal => journal::access(&mut out, &entry.summary(), |each| entry.fields(each)),
        }
        super::queue(target).push(&out, Urgency::Later);
    }

    /// The host that the request is for, with its port; empty if it names none.
    fn host(&self) -> &str {
        let authority = self.uri.authority().map(http::uri::Authority::as_str);
        authority.or_else(|| self.host.as_ref()?.to_str().ok()).unwrap_or_default()
    }
}

// === impl Entry ===

impl Entry<'_> {
    /// The method, the path and the status, for people.
    fn summary(&self) -> String {
        let status = self.line.status.map_or_else(|| "-".to_owned(), |status| status.as_u16().to_string());
        format!("{} {} {status}", self.access.method, self.access.uri.path())
    }
}
