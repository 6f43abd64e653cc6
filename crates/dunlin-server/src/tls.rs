//! TLS: certificates that are read again when their files change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{BindError, Tls};

/// Accepts TLS on sockets, with the newest valid pair of certificate and key.
#[derive(Clone)]
pub(crate) struct Acceptor {
    acceptor: TlsAcceptor,
    pair: Arc<Pair>,
    files: Tls,
    /// Of the files when they were first read.
    stamp: Stamp,
}

#[derive(Debug)]
struct Pair(ArcSwap<CertifiedKey>);

/// The times of modification and the lengths of the two files.
type Stamp = [Option<(std::time::SystemTime, u64)>; 2];

/// The time between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

// === impl Tls ===

impl Tls {
    /// Reads the files, and checks that they fit together.
    ///
    /// # Errors
    /// Returns an error that names the file and the reason.
    pub fn check(&self) -> Result<(), BindError> {
        load(self).map(drop).map_err(BindError::Tls)
    }
}

// === impl Acceptor ===

impl Acceptor {
    pub(crate) fn new(files: &Tls) -> Result<Self, BindError> {
        // Before the files are read, so that a change meanwhile is seen later.
        let stamp = stamp(files);
        let pair = Arc::new(Pair(ArcSwap::from_pointee(load(files).map_err(BindError::Tls)?)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| BindError::Tls(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(pair.clone());
        // RFC 7301 §3.2: the server selects its first protocol that the client offers.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: Arc::new(config).into(), pair, files: files.clone(), stamp })
    }

    pub(crate) fn accept(&self, socket: tokio::net::TcpStream) -> tokio_rustls::Accept<tokio::net::TcpStream> {
        self.acceptor.accept(socket)
    }

    /// Reads the files again whenever they change. It never ends. An invalid pair is logged once,
    /// and the last valid one is kept.
    pub(crate) async fn watch(&self) {
        let mut last = self.stamp;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let files = self.files.clone();
            let Ok(stamp) = tokio::task::spawn_blocking(move || stamp(&files)).await else { return };
            // Of two files that are replaced, one changes first. A pair that does not fit yet is
            // read again at the next change.
            if stamp == last || stamp.iter().any(Option::is_none) {
                continue;
            }
            last = stamp;
            let files = self.files.clone();
            match tokio::task::spawn_blocking(move || load(&files)).await {
                Ok(Ok(key)) => {
                    self.pair.0.store(Arc::new(key));
                    tracing::info!(certificate = %self.files.certificate.display(), "loaded the changed certificate");
                }
                Ok(Err(error)) => {
                    tracing::error!(error, "cannot use the changed certificate; serving the last valid one");
                }
                Err(_) => return,
            }
        }
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Acceptor").field(&self.files).finish()
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn stamp(files: &Tls) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn load(files: &Tls) -> Result<CertifiedKey, String> {
    let failure = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| failure(&files.certificate, &error))?;
    if chain.is_empty() {
        return Err(failure(&files.certificate, &"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| failure(&files.key, &error))?;
    let pair = CertifiedKey::from_der(chain, key, &ring::default_provider());
    pair.map_err(|error| format!("{} and {}: {error}", files.certificate.display(), files.key.display()))
}
