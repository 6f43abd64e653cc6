//! [`Certificates`]: the certificate for each host name.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

/// The certificates of a server, by the host names in them.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// By exact name; for `*.example.com`, by `.example.com`.
    names: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that name no host, or one that is in no certificate.
    default: Vec<Arc<CertifiedKey>>,
}

// === impl Certificates ===

impl Certificates {
    /// The certificates of these keys. The first one is the default.
    pub(super) fn new(keys: impl IntoIterator<Item = Arc<CertifiedKey>>) -> Self {
        let mut certificates = Self::default();
        for key in keys {
            for name in names(&key) {
                certificates.names.entry(name).or_default().push(key.clone());
            }
            if certificates.default.is_empty() {
                certificates.default.push(key);
            }
        }
        certificates
    }

    /// The certificate for a host that `suits` the client.
    pub(super) fn find(&self, host: &str, suits: impl Fn(&CertifiedKey) -> bool) -> Option<Arc<CertifiedKey>> {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        // RFC 6125 §6.4.3: a wildcard stands for one label, the leftmost.
        let domain = host.find('.').map(|dot| &host[dot..]);
        let named = [Some(host), domain].into_iter().flatten().filter_map(|name| self.names.get(name));
        named.flatten().find(|key| suits(key)).cloned()
    }

    /// The certificate for every other host.
    pub(super) fn fallback(&self) -> Option<Arc<CertifiedKey>> {
        self.default.first().cloned()
    }
}

/// The DNS names in a certificate, in lower case; `*.example.com` as `.example.com`.
fn names(key: &CertifiedKey) -> Vec<String> {
    let certificate = key.end_entity_cert().ok().and_then(|der| EndEntityCert::try_from(der).ok());
    let names = certificate.iter().flat_map(|certificate| certificate.valid_dns_names());
    names.map(|name| name.strip_prefix('*').unwrap_or(name).to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::load;

    fn key(names: &[&str]) -> Arc<CertifiedKey> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let pair = rcgen::generate_simple_self_signed(names).unwrap();
        Arc::new(load::pair_of_pem(pair.cert.pem().as_bytes(), pair.signing_key.serialize_pem().as_bytes()).unwrap())
    }

    #[test]
    fn the_names_in_a_certificate_choose_it() {
        let keys = [key(&["a.example", "b.example"]), key(&["*.b.example"]), key(&["x.b.example"])];
        let certificates = Certificates::new(keys.clone());
        let find = |host: &str| {
            let found = certificates.find(host, |_| true)?;
            keys.iter().position(|key| Arc::ptr_eq(key, &found))
        };
        let expected = [
            ("a.example", Some(0)),
            ("A.Example.", Some(0)),
            ("b.example", Some(0)),
            ("y.b.example", Some(1)),
            ("x.b.example", Some(2)),
            ("z.y.b.example", None),
            ("c.example", None),
            ("example", None),
            ("", None),
        ];
        for (host, expected) in expected {
            assert_eq!(find(host), expected, "{host}");
        }
        assert!(Arc::ptr_eq(&certificates.fallback().unwrap(), &keys[0]));
        assert!(certificates.find("a.example", |_| false).is_none());
    }
}
