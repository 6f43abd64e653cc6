//! The files of TLS, as they are read.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use dunlin_http::read_bounded;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::config::{ClientCertificates, Pair};
use super::ocsp::Staple;

/// The largest file, in bytes. A chain with its key has a few thousand.
const MAX_FILE: u64 = 4 << 20;

/// Reads a certificate chain and its key, and checks that they belong together.
pub(super) fn pair(files: &Pair) -> Result<CertifiedKey, String> {
    let chain = chain(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key)?).map_err(|error| failure(&files.key, &error))?;
    let pair = CertifiedKey::from_der(chain, key, &ring::default_provider());
    pair.map_err(|error| format!("{} and {}: {error}", files.certificate.display(), files.key.display()))
}

/// Reads the response about a certificate, if a file has one.
pub(super) fn staple(files: &Pair, key: &CertifiedKey, now: SystemTime) -> Option<Result<Staple, String>> {
    let path = files.ocsp.as_ref()?;
    let staple = bytes(path).and_then(|der| {
        let certificate = key.end_entity_cert().map_err(|error| failure(path, &error))?;
        Staple::new(der, certificate, now).map_err(|error| failure(path, &error))
    });
    Some(staple)
}

/// Parses a chain and its key in PEM form.
pub(super) fn pair_of_pem(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
    if chain.is_empty() {
        return Err("there is no certificate in the chain".into());
    }
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| error.to_string())
}

/// Parses the chain and the key of a challenge. Its critical extension (RFC 8737 §3) is one that
/// the check of a pair refuses.
pub(super) fn challenge_of_pem(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
    let key = ring::sign::any_supported_type(&key).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new(chain, key))
}

/// Makes the verifier of client certificates.
pub(super) fn verifier(clients: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let path = &clients.authorities;
    let mut roots = RootCertStore::empty();
    for authority in chain(path)? {
        roots.add(authority).map_err(|error| failure(path, &error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map(|verifier| verifier as _).map_err(|error| failure(path, &error))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = bytes(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match chain.map_err(|error| failure(path, &error))? {
        chain if chain.is_empty() => Err(failure(path, &"there is no certificate in it")),
        chain => Ok(chain),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let read = std::fs::File::open(path).and_then(|file| read_bounded(file, MAX_FILE));
    read.map_err(|error| failure(path, &error))
}

fn failure(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
