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

/// What makes TLS of a socket, with the newest good pair of certificate and key.
#[derive(Clone)]
pub(crate) struct Acceptor {
    acceptor: TlsAcceptor,
    pair: Arc<Pair>,
    files: Tls,
}

#[derive(Debug)]
struct Pair(ArcSwap<CertifiedKey>);

/// When and how long the two files were when they were last read.
type Stamp = [Option<(std::time::SystemTime, u64)>; 2];

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

// === impl Tls ===

impl Tls {
    /// Whether the files can be read, and belong together, at present.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), BindError> {
        load(self).map(drop).map_err(BindError::Tls)
    }
}

// === impl Acceptor ===

impl Acceptor {
    pub(crate) fn new(files: &Tls) -> Result<Self, BindError> {
        let pair = Arc::new(Pair(ArcSwap::from_pointee(load(files).map_err(BindError::Tls)?)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| BindError::Tls(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(pair.clone());
        // RFC 7301 §3.2: the first of ours that the client has too.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: Arc::new(config).into(), pair, files: files.clone() })
    }

    pub(crate) fn accept(&self, socket: tokio::net::TcpStream) -> tokio_rustls::Accept<tokio::net::TcpStream> {
        self.acceptor.accept(socket)
    }

    /// Reads the files again whenever they change, for ever. A pair that does not fit is told once,
    /// and the last good one is kept.
    pub(crate) async fn watch(&self) {
        let mut last = self.stamp().await;
        loop {
            tokio::time::sleep(LOOK).await;
            let stamp = self.stamp().await;
            // Somebody who replaces two files has one changed before the other: a pair that does
            // not fit now is tried again when the next change comes.
            if stamp == last || stamp.iter().any(Option::is_none) {
                continue;
            }
            last = stamp;
            let files = self.files.clone();
            match tokio::task::spawn_blocking(move || load(&files)).await {
                Ok(Ok(key)) => {
                    self.pair.0.store(Arc::new(key));
                    tracing::info!(certificate = %self.files.certificate.display(), "the certificate was read again");
                }
                Ok(Err(error)) => tracing::error!(error, "the new certificate cannot be used; the last one is kept"),
                Err(_) => return,
            }
        }
    }

    async fn stamp(&self) -> Stamp {
        let files = self.files.clone();
        let stamp = move || {
            let of =
                |path: &Path| std::fs::metadata(path).ok().and_then(|meta| Some((meta.modified().ok()?, meta.len())));
            [of(&files.certificate), of(&files.key)]
        };
        tokio::task::spawn_blocking(stamp).await.unwrap_or_default()
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

fn load(files: &Tls) -> Result<CertifiedKey, String> {
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| told(&files.certificate, &error))?;
    if chain.is_empty() {
        return Err(told(&files.certificate, &"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| told(&files.key, &error))?;
    let pair = CertifiedKey::from_der(chain, key, &ring::default_provider());
    pair.map_err(|error| format!("{} and {}: {error}", files.certificate.display(), files.key.display()))
}
