//! [`CertificateStore`]: certificates that do not come from files.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

use super::certificates::Certificates;
use super::load;

/// The protocol of the challenge TLS-ALPN-01 (RFC 8737 §3).
pub(super) const ACME_PROTOCOL: &[u8] = b"acme-tls/1";

/// Certificates that do not come from files, such as those of an ACME client (RFC 8555).
///
/// Clones share the certificates. New ones are for the handshakes from then on.
#[derive(Clone, Debug, Default)]
pub struct CertificateStore(Arc<Content>);

#[derive(Debug, Default)]
struct Content {
    certificates: ArcSwap<Certificates>,
    /// The certificates of challenges, by host.
    challenges: ArcSwap<HashMap<String, Arc<CertifiedKey>>>,
}

/// A certificate chain and its key, in PEM form.
#[derive(Clone, Copy)]
pub struct PemPair<'a> {
    /// The chain, with the certificate of the server first.
    pub chain: &'a [u8],
    /// The private key.
    pub key: &'a [u8],
}

/// A chain or a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the certificate: {0}")]
pub struct CertificateError(String);

// === impl CertificateStore ===

impl CertificateStore {
    /// A store without certificates.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces all certificates. The first one is for clients that name no host, if there are no
    /// files. The handshake of a client that names a host without a certificate fails then.
    ///
    /// # Errors
    /// A pair that cannot be used. The certificates stay as they were.
    pub fn replace(&self, pairs: &[PemPair<'_>]) -> Result<(), CertificateError> {
        let keys = pairs.iter().map(|pair| load::pair_of_pem(pair.chain, pair.key).map(Arc::new));
        let keys: Vec<_> = keys.collect::<Result<_, _>>().map_err(CertificateError)?;
        self.0.certificates.store(Arc::new(Certificates::new(keys)));
        Ok(())
    }

    /// Replaces the certificates of the challenge TLS-ALPN-01 (RFC 8737), by host.
    ///
    /// # Errors
    /// A pair that cannot be used. The challenges stay as they were.
    pub fn set_challenges(&self, challenges: &[(&str, PemPair<'_>)]) -> Result<(), CertificateError> {
        let keys = challenges.iter().map(|(host, pair)| {
            let key = load::challenge_of_pem(pair.chain, pair.key)?;
            Ok((host.to_ascii_lowercase(), Arc::new(key)))
        });
        let keys = keys.collect::<Result<HashMap<_, _>, _>>().map_err(CertificateError)?;
        self.0.challenges.store(Arc::new(keys));
        Ok(())
    }

    pub(super) fn certificates(&self) -> Arc<Certificates> {
        self.0.certificates.load_full()
    }

    pub(super) fn challenge(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.0.challenges.load().get(&host.to_ascii_lowercase()).cloned()
    }
}

impl std::fmt::Debug for PemPair<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PemPair").finish_non_exhaustive()
    }
}
