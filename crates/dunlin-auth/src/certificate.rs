//! [`ClientCertificate`]: the certificate that a client showed in its TLS handshake.

use std::fmt;
use std::sync::Arc;

use dunlin_http::{ClientInfo, Identity};
use http::request::Parts;
use serde_json::{Map, Value};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::{AuthFuture, Authenticate, Refusal};

/// Admits clients that have shown a certificate which the server has verified.
///
/// The server puts an `Arc<Identity>` made by [`identity_of_certificate`] into the extensions of
/// the requests of such a connection. Without one, the response is 403, because a client cannot
/// send another certificate on the same connection.
#[derive(Clone, Copy, Default)]
pub struct ClientCertificate;

/// The claims of a verified certificate in DER: `subject`, `san` and `sub`.
///
/// `subject` is its distinguished name, such as `CN=ada, O=Example`. `san` is a list of its
/// alternative names: DNS names, email addresses, URIs and IP addresses. `sub`, the name in logs,
/// is the first common name, or the first alternative name without one.
///
/// Returns `None` if the certificate cannot be parsed.
#[must_use]
pub fn identity_of_certificate(der: &[u8]) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    let names: Vec<String> = names.filter_map(text).collect();
    let common = certificate.subject().iter_common_name().find_map(|name| name.as_str().ok()).map(str::to_owned);
    let subject = certificate.subject().to_string();
    let mut claims = Map::new();
    let name = common.or_else(|| names.first().cloned()).unwrap_or_else(|| subject.clone());
    claims.insert("sub".into(), Value::String(name));
    claims.insert("subject".into(), Value::String(subject));
    claims.insert("san".into(), names.into());
    Some(Identity::new(claims))
}

/// The text of an alternative name; `None` if it has none.
fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::IpAddr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::IpAddr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

impl Authenticate for ClientCertificate {
    fn authenticate(&self, request: &Parts, _: &ClientInfo) -> AuthFuture {
        match request.extensions.get::<Arc<Identity>>() {
            Some(identity) => AuthFuture::ready(identity.clone()),
            None => AuthFuture::ready(Refusal::Forbidden),
        }
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn claims_are_names_of_the_certificate() {
        let mut params = CertificateParams::new(vec!["ada.example".into(), "10.0.0.1".into()]).unwrap();
        params.subject_alt_names.push(SanType::Rfc822Name("ada@example.com".try_into().unwrap()));
        params.distinguished_name.push(DnType::CommonName, "ada");
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let identity = identity_of_certificate(certificate.der()).unwrap();
        assert_eq!(identity.subject(), Some("ada"));
        let subject = identity.text("subject").unwrap();
        assert!(subject.contains("CN=ada") && subject.contains("O=Example"), "{subject}");
        for name in ["ada.example", "10.0.0.1", "ada@example.com"] {
            assert!(identity.has("san", name), "{name}");
        }
        assert!(!identity.has("san", "bob.example"));
    }

    #[test]
    fn anything_else_is_no_certificate() {
        assert_eq!(identity_of_certificate(b""), None);
        assert_eq!(identity_of_certificate(b"\x30\x03\x02\x01\x01"), None);
    }
}
