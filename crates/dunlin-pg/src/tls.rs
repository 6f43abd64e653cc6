//! TLS to the database, with libpq's meaning of `sslmode`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config_error::ConfigError;
use crate::named_file;
use crate::ssl_mode::SslMode;

/// A check of the server's certificate that is weaker than the usual one.
#[derive(Debug)]
enum Trust {
    /// The handshake must be signed by the certificate, which may be any.
    Anyone(Arc<CryptoProvider>),
    /// The certificate has one of these roots. Its name does not matter.
    Authority(Arc<RootCertStore>, Arc<CryptoProvider>),
}

/// Makes a connector for the mode. It presents the client's certificate to a server that asks for
/// one. It reads files, so it belongs to the start of a program.
pub(crate) fn connector(
    mode: SslMode,
    root: Option<&Path>,
    client: Option<(&Path, &Path)>,
) -> Result<MakeRustlsConnect, ConfigError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new(format!("TLS: {error}")))?;
    // As in libpq, `require` with a root certificate means `verify-ca`.
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

/// The client's certificate, and those between it and its root.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let fail = |why: &dyn std::fmt::Display| ConfigError::new(format!("sslcert {}: {why}", file.display()));
    let pem = named_file::read(file).map_err(|error| fail(&error))?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| fail(&error))?;
    if chain.is_empty() { Err(fail(&"there is no certificate in it")) } else { Ok(chain) }
}

/// The client's private key. As in libpq, no other user may read it. If it belongs to root, its
/// group may.
fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, ConfigError> {
    use std::os::unix::fs::MetadataExt;
    let fail = |why: &dyn std::fmt::Display| ConfigError::new(format!("sslkey {}: {why}", file.display()));
    let metadata = fs::metadata(file).map_err(|error| fail(&error))?;
    let forbidden = if metadata.uid() == 0 { 0o027 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(fail(&"others may read it; its mode has to be 0600"));
    }
    let pem = named_file::read(file).map_err(|error| fail(&error))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        pem::Error::NoItemsFound => fail(&"there is no private key in it that can be read; an encrypted one cannot"),
        error => fail(&error),
    })
}

/// The trusted roots: those of the file, or those of the system if there is no file or it is
/// `system`.
fn roots(file: Option<&Path>) -> Result<Arc<RootCertStore>, ConfigError> {
    let mut roots = RootCertStore::empty();
    match file.filter(|file| *file != Path::new("system")) {
        None => {
            let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(file) => {
            let fail = |why: &dyn std::fmt::Display| ConfigError::new(format!("sslrootcert {}: {why}", file.display()));
            let pem = named_file::read(file).map_err(|error| fail(&error))?;
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
