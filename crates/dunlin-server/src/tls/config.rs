//! [`Tls`]: the files and the rules of TLS.

use std::path::PathBuf;

use super::CertificateStore;

/// The certificates of a server, and the rules of its TLS connections.
///
/// Files are read again when they change. A pair that does not fit is reported, and the last valid
/// one is kept.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tls {
    /// Certificates with their keys. A client gets the one whose names include the host that it
    /// asks for (SNI, RFC 6066 §3), and the first one if none does.
    pub pairs: Vec<Pair>,
    /// Certificates that do not come from files. They precede [`Tls::pairs`] of the same names.
    pub store: Option<CertificateStore>,
    /// The lowest version that is accepted.
    pub min_version: TlsVersion,
    /// The certificates that clients prove who they are with. `None` asks clients for none.
    pub clients: Option<ClientCertificates>,
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate chain, with the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// A response of the authority about the certificate (OCSP, RFC 6960), in DER form, which is
    /// sent along in handshakes. One that clients would refuse is reported and not sent.
    pub ocsp: Option<PathBuf>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// The check of client certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The certificates of the authorities that sign client certificates, as a PEM file.
    pub authorities: PathBuf,
    /// `true` to refuse clients without a certificate. One that is invalid is refused in any case.
    pub required: bool,
}

// === impl Tls ===

impl Tls {
    /// TLS with one pair of PEM files: see [`Pair`].
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { pairs: vec![Pair::new(certificate, key)], ..Self::default() }
    }
}

// === impl Pair ===

impl Pair {
    /// A certificate chain and its key.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), ocsp: None }
    }
}
