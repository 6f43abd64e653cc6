//! The fields of an access line, by OpenTelemetry's semantic conventions where they have a name.

use std::borrow::Cow;
use std::net::IpAddr;

use dunlin_http::UpstreamSlot;
use http::{HeaderValue, Version};

use super::Entry;
use super::cache::CacheResult;
use crate::hosts::without_port;
use crate::log::value::Value;

// === impl Entry ===

impl Entry<'_> {
    /// Calls `each` for every field that the request has.
    pub(super) fn fields(&self, each: &mut dyn FnMut(&'static str, Value<'_>)) {
        let Entry { access, line, settings, .. } = *self;
        let host = access.host();
        let name = without_port(host);
        let text = |text: &'static str| Value::Text(Cow::Borrowed(text));
        each("http.request.method", Value::Text(access.method.as_str().into()));
        each("url.scheme", text(access.client.scheme()));
        if !name.is_empty() {
            each("server.address", Value::Text(name.into()));
        }
        if let Some(port) = host.get(name.len()..).and_then(|port| port.strip_prefix(':')?.parse().ok()) {
            each("server.port", Value::Count(port));
        }
        each("url.path", Value::Text(access.uri.path().into()));
        if let Some(query) = access.uri.query() {
            each("url.query", Value::Text(settings.redact.query(query)));
        }
        each("network.protocol.version", text(version(access.version)));
        if let Some(version) = access.tls {
            each("tls.protocol.version", text(version));
        }
        let addresses = [("client.address", access.client.ip), ("network.peer.address", access.peer)];
        for (name, ip) in
            addresses.into_iter().filter(|(name, ip)| *name == "client.address" || *ip != access.client.ip)
        {
            if let Some(ip) = ip {
                each(name, Value::Text(address(ip).into()));
            }
        }
        if let Some(agent) = &access.user_agent {
            each("user_agent.original", Value::Text(lossy(agent)));
        }
        if let Some(referer) = &access.referer {
            let referer = lossy(referer);
            each("http.request.header.referer", Value::Lines(settings.redact.url(&referer)));
        }
        each("http.route", Value::Text(line.route.into()));
        if let Some(status) = line.status {
            each("http.response.status_code", Value::Count(status.as_u16().into()));
        }
        each("http.response.body.size", Value::Count(line.bytes));
        each("http.server.request.duration", Value::Seconds(line.duration));
        if let Some(user) = line.user {
            each("enduser.id", Value::Text(user.into()));
        }
        self.own_fields(each);
    }

    /// The fields for which the conventions have no name.
    fn own_fields(&self, each: &mut dyn FnMut(&'static str, Value<'_>)) {
        let Entry { access, line, .. } = *self;
        if let Some(ttfb) = line.ttfb {
            each("dunlin.time_to_first_byte", Value::Seconds(ttfb));
        }
        if let Some(received) = line.received {
            each("dunlin.tunnel.received", Value::Count(received));
        }
        if let Some(cache) = self.cache() {
            each("dunlin.cache.result", Value::Text(cache.result.into()));
            if let Some(reason) = cache.reason {
                each("dunlin.cache.reason", Value::Text(reason.into()));
            }
        }
        if let Some(upstream) = access.upstream.as_ref().and_then(UpstreamSlot::get) {
            each("dunlin.upstream", Value::Text((&*upstream).into()));
        }
        if let Some(id) = &access.request_id {
            each("dunlin.request_id", Value::Text(lossy(id)));
        }
        if let Some(aborted) = line.aborted {
            each("dunlin.aborted", Value::Text(aborted.into()));
        }
    }

    pub(super) fn cache(&self) -> Option<CacheResult> {
        CacheResult::parse(self.line.cache?.to_str().ok()?)
    }
}

/// The number of an HTTP version, in the form of the conventions.
fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

pub(super) fn address(ip: IpAddr) -> String {
    ip.to_canonical().to_string()
}

pub(super) fn lossy(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
