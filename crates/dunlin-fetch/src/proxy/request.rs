//! The request that a proxy sends, made from the request that it received.

use dunlin_http::{Body, ClientInfo};
use http::header::{CONNECTION, EXPECT, HOST, TE, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use hyper::upgrade::OnUpgrade;

use super::fields;
use super::forwarded::{self, ForwardedFields};
use super::state::ProxyState;
use crate::client::RequestOptions;

/// The request as the upstream receives it, and what its response depends on.
pub(super) struct UpstreamRequest {
    pub(super) request: Request<Body>,
    pub(super) options: RequestOptions,
    pub(super) facts: RequestFacts,
    /// `true` if the server's `Host` is still to be set.
    pub(super) sets_host: bool,
}

/// The facts about a request that its response depends on.
pub(super) struct RequestFacts {
    pub(super) is_head: bool,
    /// The protocols that it asks to change to, and the client's connection after the change.
    pub(super) upgrade: Option<(HeaderValue, OnUpgrade)>,
}

// === impl UpstreamRequest ===

impl UpstreamRequest {
    /// Makes the request for the upstream. `client` is the connection that the request came on, if
    /// it can change to another protocol.
    pub(super) fn new(
        state: &ProxyState,
        request: Request<Body>,
        target: PathAndQuery,
        peer: ClientInfo,
        client: Option<OnUpgrade>,
    ) -> Self {
        let ProxyState { config, destination, via, .. } = state;
        let (mut parts, body) = request.into_parts();
        // The extensions belong to the client's connection. One of them could be a hook of it.
        parts.extensions.clear();
        let version = parts.version;
        let headers = &mut parts.headers;
        let upgrade =
            client.and_then(|client| Some((fields::wanted_upgrade(headers, version, &config.upgrades)?, client)));
        let trailers = fields::accepts_trailers(headers);
        fields::remove_hop_by_hop(headers);
        let mut options = state.options;
        if headers.get(EXPECT).is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
            // RFC 9110 §10.1.1: the upstream decides. A client of HTTP/1.0 waits for no 100
            // (Continue), and an empty body needs none.
            if version == Version::HTTP_10 || body.is_empty() {
                headers.remove(EXPECT);
            } else {
                options.expect_timeout = Some(config.expect_timeout);
            }
        }
        if !headers.contains_key(HOST) {
            // HTTP/2 has the authority in the URL.
            let authority = parts.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
            if let Some(authority) = authority {
                headers.insert(HOST, authority);
            }
        }
        let which = ForwardedFields { x_forwarded: config.x_forwarded, forwarded: config.forwarded };
        forwarded::add_client(headers, peer, &config.trusted, which);
        // A request of HTTP/1.0 may have no Host. The fields above then name none, but the upstream
        // needs one.
        let replaces_host = !config.preserve_host || !headers.contains_key(HOST);
        if let (true, Some(host)) = (replaces_host, destination.host()) {
            headers.insert(HOST, host.clone());
        }
        if let Some(via) = via {
            via.add(headers, version);
        }
        set_connection(headers, upgrade.as_ref().map(|(protocols, _)| protocols), trailers);
        parts.uri = target.into();
        let facts = RequestFacts { is_head: parts.method == Method::HEAD, upgrade };
        Self { request: Request::from_parts(parts, body), options, facts, sets_host: replaces_host }
    }
}

/// Sets `Upgrade` or `TE`, which `Connection` has to name.
fn set_connection(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>, trailers: bool) {
    if let Some(protocols) = upgrade {
        headers.insert(UPGRADE, protocols.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else if trailers {
        // RFC 9110 §10.1.4: a sender of TE names it in Connection.
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}
