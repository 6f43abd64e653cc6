//! [`Facts`]: what a field's value can name.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use dunlin_http::{ClientInfo, Identity};
use http::header::HOST;
use http::{HeaderValue, Request, Uri};

/// The place of a client's identity, which authentication fills.
pub(crate) type IdentitySlot = Arc<OnceLock<Arc<Identity>>>;

/// The facts about a request that templates can name.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(super) client_ip: Option<IpAddr>,
    pub(super) host: String,
    pub(super) scheme: &'static str,
    pub(super) request_id: Option<HeaderValue>,
    pub(super) uri: Uri,
    identity: Option<IdentitySlot>,
}

/// The field with the identifier of a request.
pub(crate) const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

// === impl Facts ===

impl Facts {
    /// The facts about a request of `client`. Claims are read from `identity` when they are needed.
    pub(crate) fn new<B>(request: &Request<B>, client: &ClientInfo, identity: Option<IdentitySlot>) -> Self {
        Self {
            client_ip: client.ip,
            host: host(request).to_owned(),
            scheme: client.scheme(),
            request_id: request.headers().get(REQUEST_ID).cloned(),
            uri: request.uri().clone(),
            identity,
        }
    }

    /// The text of a claim.
    pub(super) fn claim(&self, name: &str) -> Option<String> {
        self.identity.as_ref()?.get()?.text(name)
    }
}

/// The host that a request is for, with its port; empty if it names none.
pub(crate) fn host<B>(request: &Request<B>) -> &str {
    // RFC 9112 §3.2.2: a host in the URI has precedence over `Host`.
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    authority.or_else(|| request.headers().get(HOST)?.to_str().ok()).unwrap_or_default()
}
