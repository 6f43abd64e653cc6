//! [`Resolver`]: the choice of a certificate during a handshake.

use std::sync::Arc;
use std::time::Instant;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificates::Certificates;
use super::store::{ACME_PROTOCOL, CertificateStore};
use crate::log_limit::LogLimit;

/// The choice of a certificate during a handshake.
#[derive(Debug)]
pub(super) struct Resolver {
    files: Certificates,
    store: Option<CertificateStore>,
    begun: Instant,
    log_limit: LogLimit,
}

// === impl Resolver ===

impl Resolver {
    pub(super) fn new(files: Certificates, store: Option<CertificateStore>) -> Self {
        Self { files, store, begun: Instant::now(), log_limit: LogLimit::default() }
    }

    /// Logs a handshake that fails, within the limit of lines per second.
    #[cold]
    fn report(&self, host: Option<&str>) {
        let Some(suppressed) = self.log_limit.allow(self.begun.elapsed().as_secs() + 1) else { return };
        let suppressed = (suppressed > 0).then_some(suppressed);
        tracing::warn!(host, suppressed, "there is no certificate for this host yet; the TLS handshake fails");
    }
}

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
        // Without a file, another host's certificate is for clients that name none.
        let fallback = || self.files.fallback().or_else(|| stored.filter(|_| host.is_none())?.fallback());
        let found = named.or_else(fallback);
        if found.is_none() {
            self.report(host);
        }
        found
    }
}
