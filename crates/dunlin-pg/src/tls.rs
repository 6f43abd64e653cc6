//! TLS to the database, with libpq's meaning of `sslmode`.

use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::ConfigError;

/// Whether the connection is encrypted and the server proven, as libpq's `sslmode` has it. On a
/// Unix socket there is no TLS, whatever the mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// As [`SslMode::Prefer`]: libpq would try without TLS first, which protects less and asks as
    /// much.
    Allow,
    /// Encrypted when the server offers it; nothing is proven. A handshake that fails is an error
    /// and not a reason to go on in plain text, which is stricter than libpq.
    #[default]
    Prefer,
    /// Encrypted or not at all. The server is not proven, unless a root certificate is given: then
    /// as [`SslMode::VerifyCa`].
    Require,
    /// Encrypted, and the server's certificate comes from a trusted root.
    VerifyCa,
    /// The same, and it is for the host that was asked for.
    VerifyFull,
}

/// How a server's certificate is looked at.
#[derive(Debug)]
enum Trust {
    /// Not at all, but the handshake must be signed by it.
    Anyone(Arc<CryptoProvider>),
    /// It comes from one of the roots; its name does not matter.
    Authority(Arc<RootCertStore>, Arc<CryptoProvider>),
}

// === impl SslMode ===

impl SslMode {
    /// As libpq spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// What the protocol does about it.
    pub(crate) const fn negotiated(self) -> tokio_postgres::config::SslMode {
        use tokio_postgres::config::SslMode as Mode;
        match self {
            Self::Disable => Mode::Disable,
            Self::Allow | Self::Prefer => Mode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => Mode::Require,
        }
    }
}

impl FromStr for SslMode {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| {
                ConfigError::new(format!(
                    "sslmode {text:?} is none of disable, allow, prefer, require, verify-ca, verify-full"
                ))
            })
    }
}

/// A connector for the mode, which shows the client's certificate, if there is one with its key, to
/// a server that asks. Reads files, so it belongs to start-up.
pub(crate) fn connector(
    mode: SslMode,
    root: Option<&Path>,
    client: Option<(&Path, &Path)>,
) -> Result<MakeRustlsConnect, ConfigError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new(format!("TLS: {error}")))?;
    // libpq: with a root certificate at hand `require` means `verify-ca`.
    let mode = if mode == SslMode::Require && root.is_some() { SslMode::VerifyCa } else { mode };
    let verifier: Arc<dyn ServerCertVerifier> = match mode {
        SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require => Arc::new(Trust::Anyone(provider)),
        SslMode::VerifyCa => Arc::new(Trust::Authority(roots(root)?, provider)),
        SslMode::VerifyFull => WebPkiServerVerifier::builder_with_provider(roots(root)?, provider)
            .build()
            .map_err(|error| ConfigError::new(format!("sslrootcert: {error}")))?,
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| ConfigError::new(format!("sslcert and sslkey: {error}")))?,
    };
    Ok(MakeRustlsConnect::new(config))
}

/// The client's certificate and those between it and its root.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let fail = |why: &dyn std::fmt::Display| ConfigError::new(format!("sslcert {}: {why}", file.display()));
    let pem = fs::read(file).map_err(|error| fail(&error))?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| fail(&error))?;
    if chain.is_empty() { Err(fail(&"there is no certificate in it")) } else { Ok(chain) }
}

/// The client's private key. As libpq has it, nobody else may read it; one that belongs to root,
/// its group may.
fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, ConfigError> {
    use std::os::unix::fs::MetadataExt;
    let fail = |why: &dyn std::fmt::Display| ConfigError::new(format!("sslkey {}: {why}", file.display()));
    let metadata = fs::metadata(file).map_err(|error| fail(&error))?;
    let forbidden = if metadata.uid() == 0 { 0o027 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(fail(&"others may read it; its mode has to be 0600"));
    }
    let pem = fs::read(file).map_err(|error| fail(&error))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        pem::Error::NoItemsFound => fail(&"there is no private key in it that can be read; an encrypted one cannot"),
        error => fail(&error),
    })
}

/// The trusted roots: of the file, or the system's where none is given or it is `system`.
fn roots(file: Option<&Path>) -> Result<Arc<RootCertStore>, ConfigError> {
    let mut roots = RootCertStore::empty();
    match file.filter(|file| *file != Path::new("system")) {
        None => {
            let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(file) => {
            let fail = |why: &dyn std::fmt::Display| ConfigError::new(format!("sslrootcert {}: {why}", file.display()));
            let pem = fs::read(file).map_err(|error| fail(&error))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                roots.add(certificate.map_err(|error| fail(&error))?).map_err(|error| fail(&error))?;
            }
        }
    }
    if roots.is_empty() {
        return Err(ConfigError::new(
            "sslmode wants a proven server, but no root certificate was found; set sslrootcert",
        ));
    }
    Ok(Arc::new(roots))
}

// === impl Trust ===

impl Trust {
    fn provider(&self) -> &CryptoProvider {
        match self {
            Self::Anyone(provider) | Self::Authority(_, provider) => provider,
        }
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Self::Authority(roots, provider) = self {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider().signature_verification_algorithms.supported_schemes()
    }
}
