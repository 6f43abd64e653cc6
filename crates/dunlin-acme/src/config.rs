//! [`Config`]: the authority, the account and the storage.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use instant_acme::LetsEncrypt;

use crate::{Error, client};

/// The authority that issues certificates, the account there, and the place where they are kept.
///
/// An order accepts the terms of service of the authority (RFC 8555 §7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The URL of the authority's directory, by `https`. Default: [`Config::LETS_ENCRYPT`].
    pub directory: String,
    /// A PEM file of authorities that may sign the certificate of the directory's server, besides
    /// those of the system. Default: none.
    pub ca_file: Option<PathBuf>,
    /// The address that the authority may write to. Default: none.
    pub email: Option<String>,
    /// The binding to an account that exists elsewhere at the authority. Default: none.
    pub external_account: Option<ExternalAccount>,
    /// The proof that a name is served here. Default: [`ChallengeKind::Http01`].
    pub challenge: ChallengeKind,
    /// The folder for the account, the certificates and their keys. Instances may share it.
    pub storage: PathBuf,
}

/// An account that exists elsewhere at the authority (RFC 8555 §7.3.4).
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    id: String,
    key: Vec<u8>,
}

/// A proof that a name is served here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChallengeKind {
    /// The authority asks port 80 of the name for a path (RFC 8555 §8.3).
    #[default]
    Http01,
    /// The authority connects to port 443 of the name (RFC 8737).
    TlsAlpn01,
}

// === impl Config ===

impl Config {
    /// The directory of Let's Encrypt.
    pub const LETS_ENCRYPT: &'static str = LetsEncrypt::Production.url();

    /// The directory of Let's Encrypt for trials. Its limits are high, and no browser accepts its
    /// certificates.
    pub const LETS_ENCRYPT_STAGING: &'static str = LetsEncrypt::Staging.url();

    /// The settings for this folder, with Let's Encrypt as the authority.
    #[must_use]
    pub fn new(storage: impl Into<PathBuf>) -> Self {
        Self {
            directory: Self::LETS_ENCRYPT.to_owned(),
            ca_file: None,
            email: None,
            external_account: None,
            challenge: ChallengeKind::default(),
            storage: storage.into(),
        }
    }

    /// Checks the directory's URL and the file of authorities. It asks no server.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), Error> {
        let host = self.directory.strip_prefix("https://").and_then(|rest| rest.split(['/', '?']).next());
        if host.is_none_or(str::is_empty) || self.directory.parse::<http::Uri>().is_err() {
            return Err(Error::Directory(self.directory.clone()));
        }
        self.ca_file.as_deref().map_or(Ok(()), |path| client::authorities(path).map(drop))
    }
}

// === impl ExternalAccount ===

impl ExternalAccount {
    /// The account `id` with the key that the authority shows, in base64url.
    ///
    /// # Errors
    /// A key that is not base64url.
    pub fn new(id: impl Into<String>, key: &str) -> Result<Self, Error> {
        let key =
            BASE64_URL_SAFE_NO_PAD.decode(key.trim().trim_end_matches('=')).map_err(|_| Error::ExternalAccount)?;
        if key.is_empty() {
            return Err(Error::ExternalAccount);
        }
        Ok(Self { id: id.into(), key })
    }

    pub(crate) fn key(&self) -> instant_acme::ExternalAccountKey {
        instant_acme::ExternalAccountKey::new(self.id.clone(), &self.key)
    }
}

impl std::fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalAccount").field("id", &self.id).finish_non_exhaustive()
    }
}

// === impl ChallengeKind ===

impl ChallengeKind {
    /// The name in RFC 8555 and RFC 8737.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// The form of a name in certificates: lower case, without the dot of the root.
///
/// # Errors
/// A wildcard, an address, or anything else that neither challenge can prove.
pub fn host_name(name: &str) -> Result<String, Error> {
    let error = |reason| Error::Name { name: name.to_owned(), reason };
    if name.starts_with("*.") {
        return Err(error("a wildcard cannot be proven by http-01 or tls-alpn-01; name each host"));
    }
    if name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok() {
        return Err(error("it is an address, not a host name"));
    }
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(known)
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.len() <= 253 && name.split('.').all(is_label) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err(error("it is no host name in ASCII")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_proven() {
        #[track_caller]
        fn check(name: &str, expect: Option<&str>) {
            assert_eq!(host_name(name).ok().as_deref(), expect, "{name:?}");
        }
        check("Example.COM.", Some("example.com"));
        check("xn--bcher-kva.example", Some("xn--bcher-kva.example"));
        for wrong in ["*.example.com", "127.0.0.1", "[::1]", "::1", "", ".", "a..b", "../a", "a/b", "bücher.example"] {
            check(wrong, None);
        }
    }

    #[test]
    fn the_key_of_an_external_account_is_in_no_message() {
        let account = ExternalAccount::new("id-1", "c2VjcmV0LWtleQ==").unwrap();
        assert!(!format!("{account:?}").contains("secret"));
        assert!(ExternalAccount::new("id-1", "no base64!").is_err());
        assert!(ExternalAccount::new("id-1", "").is_err());
    }
}
