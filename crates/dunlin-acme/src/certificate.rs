//! [`Facts`] about a certificate, and [`Certificate`], one with its key as the storage has it.

use std::time::{Duration, SystemTime};

use rcgen::{KeyPair, PublicKeyData as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::schedule::{self, Validity};

/// The facts about a certificate that operators and clocks want.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The DNS names, in lower case.
    pub names: Vec<String>,
    /// The distinguished name of the issuer.
    pub issuer: String,
    /// The time from which the certificate is valid.
    pub not_before: SystemTime,
    /// The time until which the certificate is valid.
    pub not_after: SystemTime,
}

/// A certificate chain and its key, in one text of PEM blocks.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) pem: Vec<u8>,
    pub(crate) facts: Facts,
    /// The certificate itself, without the chain.
    pub(crate) der: CertificateDer<'static>,
    /// The time of the file.
    obtained: SystemTime,
}

// === impl Facts ===

impl Facts {
    /// The facts about a certificate in DER; `None` if it is malformed.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self::read(&certificate))
    }

    fn read(certificate: &X509Certificate<'_>) -> Self {
        let extension = certificate.subject_alternative_name().ok().flatten();
        let names = extension.iter().flat_map(|extension| &extension.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        Self {
            names: names.collect(),
            issuer: certificate.issuer().to_string(),
            not_before: time(certificate.validity().not_before),
            not_after: time(certificate.validity().not_after),
        }
    }

    /// The time for which the certificate is still valid.
    #[must_use]
    pub fn left(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }
}

// === impl Certificate ===

impl Certificate {
    /// Parses a key and a chain, and checks that they fit together and are for `name`.
    ///
    /// # Errors
    /// The reason, for operators.
    pub(crate) fn parse(pem: Vec<u8>, name: &str, obtained: SystemTime) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(&pem).map_err(|_| "there is no certificate in it")?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| "there is no private key in it")?;
        let key = KeyPair::try_from(&key).map_err(|_| "its private key is malformed")?;
        let (facts, public_key) = {
            let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| "the certificate is malformed")?;
            (Facts::read(&parsed), parsed.public_key().raw.to_vec())
        };
        if public_key != key.subject_public_key_info() {
            return Err("the certificate is for another key".into());
        }
        if !facts.names.iter().any(|other| other == name) {
            return Err(format!("the certificate is for other names: {}", facts.names.join(", ")));
        }
        Ok(Self { pem, facts, der: der.into_owned(), obtained })
    }

    /// The time from which the certificate is renewed, if the authority does not say.
    pub(crate) fn renewal(&self) -> SystemTime {
        let Facts { not_before, not_after, .. } = self.facts;
        schedule::renewal(Validity { not_before, not_after }, self.obtained, self.spread())
    }

    /// The latest time of a renewal, so that no window lets the certificate expire.
    pub(crate) fn latest_renewal(&self) -> SystemTime {
        let renewal = self.renewal();
        renewal + self.facts.left(renewal) / 2
    }

    /// A number from 0 to 1 that differs from one certificate to the next, and is the same on all
    /// instances: the end of a signature is as good as random.
    pub(crate) fn spread(&self) -> f64 {
        let (high, low) = match *self.der.as_ref() {
            [.., high, low] => (high, low),
            _ => (0, 0),
        };
        f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX)
    }
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key and a certificate of another or the same key, for `names`.
    fn pem(names: &[&str], is_own_key: bool) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let signed = rcgen::generate_simple_self_signed(names).unwrap();
        let key = if is_own_key { signed.signing_key } else { KeyPair::generate().unwrap() };
        format!("{}{}", key.serialize_pem(), signed.cert.pem()).into_bytes()
    }

    #[test]
    fn a_certificate_has_to_be_for_its_key_and_its_name() {
        #[track_caller]
        fn check(pem: Vec<u8>, expect: Result<(), &str>) {
            let parsed = Certificate::parse(pem, "a.test", SystemTime::UNIX_EPOCH).map(drop);
            match expect {
                Ok(()) => assert_eq!(parsed, Ok(())),
                Err(part) => assert!(parsed.clone().unwrap_err().contains(part), "{parsed:?}"),
            }
        }
        check(pem(&["a.test"], true), Ok(()));
        check(pem(&["b.test", "A.test"], true), Ok(()));
        check(pem(&["b.test"], true), Err("other names: b.test"));
        check(pem(&["*.test"], true), Err("other names"));
        check(pem(&["a.test"], false), Err("another key"));
        let whole = String::from_utf8(pem(&["a.test"], true)).unwrap();
        let at = whole.find("-----BEGIN CERTIFICATE").unwrap();
        check(whole[..at].into(), Err("no certificate"));
        check(whole[at..].into(), Err("no private key"));
        check(whole[..whole.len() - 40].into(), Err("no certificate"));
        check(Vec::new(), Err("no certificate"));
    }

    #[test]
    fn the_spread_is_from_0_to_1() {
        for _ in 0..20 {
            let certificate = Certificate::parse(pem(&["a.test"], true), "a.test", SystemTime::UNIX_EPOCH).unwrap();
            assert!((0.0..=1.0).contains(&certificate.spread()));
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_facts() {
        assert_eq!(Facts::of(b""), None);
        assert_eq!(Facts::of(&[0x30, 0x82, 0xff, 0xff]), None);
    }
}
