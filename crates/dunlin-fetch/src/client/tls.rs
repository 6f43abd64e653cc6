//! The certificates that a client trusts.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use dunlin_http::read_bounded;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::Error;

/// The largest file of certificates, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// The system's certificates. They are read once per process, and not before the first use, because
/// a client of plain HTTP does not need them.
fn system() -> &'static RootCertStore {
    static SYSTEM: OnceLock<RootCertStore> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "cannot read some of the system's certificates");
        }
        let mut roots = RootCertStore::empty();
        let (_, ignored) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(roots = roots.len(), ignored, "read the system's certificates");
        roots
    })
}

/// The certificates of a PEM file.
///
/// # Errors
/// [`Error::Certificates`] if the file cannot be read, or has no certificate.
pub(super) fn read_file(path: &Path) -> Result<RootCertStore, Error> {
    let invalid = |error: &dyn std::fmt::Display| Error::Certificates(format!("{}: {error}", path.display()));
    let mut roots = RootCertStore::empty();
    let read = std::fs::File::open(path).and_then(|file| read_bounded(file, MAX_FILE));
    for certificate in CertificateDer::pem_slice_iter(&read.map_err(|error| invalid(&error))?) {
        roots.add(certificate.map_err(|error| invalid(&error))?).map_err(|error| invalid(&error))?;
    }
    if roots.is_empty() { Err(invalid(&"the file has no certificate")) } else { Ok(roots) }
}

/// A configuration that trusts the system's certificates and `extra`.
pub(super) fn config(extra: Option<&RootCertStore>) -> Result<ClientConfig, Error> {
    let mut roots = system().clone();
    roots.roots.extend(extra.into_iter().flat_map(|extra| extra.roots.iter().cloned()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Certificates(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
