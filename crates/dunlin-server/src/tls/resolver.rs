//! [`Resolver`]: the choice of a certificate during a handshake.

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificates::Certificates;
use super::store::{ACME_PROTOCOL, CertificateStore};

/// The choice of a certificate during a handshake.
#[derive(Debug)]
pub(super) struct Resolver {
    pub(super) files: Certificates,
    pub(super) store: Option<CertificateStore>,
}

// === impl Resolver ===

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name();
        if hello.alpn().is_some_and(|mut protocols| protocols.any(|name| name == ACME_PROTOCOL)) {
            return self.store.as_ref()?.challenge(host?);
        }
        let suits = |key: &CertifiedKey| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let stored = self.store.as_ref().map(CertificateStore::certificates);
        let named = host.and_then(|host| {
            let stored = stored.as_ref().and_then(|stored| stored.find(host, suits));
            stored.or_else(|| self.files.find(host, suits))
        });
        named.or_else(|| self.files.fallback()).or_else(|| stored?.fallback())
    }
}
