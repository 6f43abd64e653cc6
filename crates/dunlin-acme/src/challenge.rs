//! [`Challenge`]: the answer that proves to the authority that a name is served here.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ChallengeKind;

/// The answer to a challenge, as instances share it through the storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Challenge {
    pub(crate) host: String,
    pub(crate) kind: String,
    /// The token and the thumbprint of the account's key (RFC 8555 §8.1). It is no secret.
    pub(crate) key_authorization: String,
}

/// A certificate and its key, each in PEM form.
pub(crate) struct Proof {
    pub(crate) host: String,
    pub(crate) chain: String,
    pub(crate) key: String,
}

// === impl Challenge ===

impl Challenge {
    pub(crate) fn is(&self, kind: ChallengeKind) -> bool {
        self.kind == kind.as_str()
    }

    /// The certificate that answers TLS-ALPN-01 (RFC 8737 §3); `None` for a malformed challenge.
    pub(crate) fn proof(&self) -> Option<Proof> {
        let mut params = CertificateParams::new(vec![self.host.clone()]).ok()?;
        params.distinguished_name = DistinguishedName::new();
        let digest = Sha256::digest(self.key_authorization.as_bytes());
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
        let key = KeyPair::generate().ok()?;
        let certificate = params.self_signed(&key).ok()?;
        Some(Proof { host: self.host.clone(), chain: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Returns `true` for a token (RFC 8555 §8.3), which is safe as the name of a file.
pub(crate) fn is_token(token: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=200).contains(&token.len()) && token.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_safe_as_names_of_files() {
        assert!(is_token("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"));
        for wrong in ["", "..", "a/b", "a.b", "a b", &"a".repeat(201)] {
            assert!(!is_token(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_malformed_host_has_no_proof() {
        let challenge = |host: &str| Challenge {
            host: host.into(),
            kind: "tls-alpn-01".into(),
            key_authorization: "token.thumbprint".into(),
        };
        assert!(challenge("a.test").proof().is_some());
        assert!(challenge("ü").proof().is_none());
    }
}
