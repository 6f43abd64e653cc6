//! [`ApiKey`]: a key in a header field.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dunlin_http::{ClientInfo, Identity};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::challenge::challenge;
use crate::{AuthFuture, Authenticate, Error, Refusal};

/// The SHA-256 hashes of keys, with the names of their owners.
#[derive(Clone, Default)]
pub struct ApiKeys {
    /// Indexed by the first eight bytes of a hash of the hash, so that the time of a look-up
    /// reveals nothing about the keys.
    by_prefix: HashMap<u64, Vec<(Hash, Arc<Identity>)>>,
    length: usize,
}

type Hash = [u8; 32];

/// Verifies a key in a header field.
#[derive(Clone, Debug)]
pub struct ApiKey(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    header: HeaderName,
    keys: ArcSwap<ApiKeys>,
    challenge: HeaderValue,
}

// === impl ApiKeys ===

impl ApiKeys {
    /// Parses lines of `name:sha256`, with the hash in 64 hexadecimal digits, as `printf %s KEY |
    /// sha256sum` prints it.
    ///
    /// Empty lines and lines that begin with `#` are ignored. Several lines may have the same name,
    /// so that a client can change its key without a gap.
    ///
    /// # Errors
    /// [`Error::Line`] with the number of the line, but without its text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut keys = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let invalid = || Error::Line { line: index + 1, expected: "name:hash, the SHA-256 hash in 64 hex digits" };
            let (name, hash) = line.rsplit_once(':').ok_or_else(invalid)?;
            let hash = unhex(hash.trim()).filter(|_| !name.is_empty()).ok_or_else(invalid)?;
            let identity = Arc::new(Identity::of_subject(name.trim()));
            keys.by_prefix.entry(prefix(&hash)).or_default().push((hash, identity));
            keys.length += 1;
        }
        Ok(keys)
    }

    /// The number of keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Returns `true` if there is no key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn find(&self, key: &[u8]) -> Option<&Arc<Identity>> {
        let hash: Hash = Sha256::digest(key).into();
        let candidates = self.by_prefix.get(&prefix(&hash))?;
        candidates.iter().find(|(known, _)| bool::from(known.ct_eq(&hash))).map(|(_, identity)| identity)
    }
}

/// Prints no hash.
impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").field("keys", &self.length).finish()
    }
}

fn prefix(hash: &Hash) -> u64 {
    let again: Hash = Sha256::digest(hash).into();
    u64::from_le_bytes(std::array::from_fn(|index| again[index]))
}

fn unhex(text: &str) -> Option<Hash> {
    let digits: Vec<u8> = text.chars().map(|char| char.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0)).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

// === impl ApiKey ===

impl ApiKey {
    /// Verifies the key in `header` against `keys`. The client's name is its subject.
    #[must_use]
    pub fn new(header: HeaderName, keys: ApiKeys, realm: &str) -> Self {
        // RFC 9110 §11.6.1 requires a challenge with a 401. No registered scheme fits.
        let more = format!(", header=\"{header}\"");
        let challenge = challenge("ApiKey", realm, &more);
        Self(Arc::new(Inner { header, keys: ArcSwap::from_pointee(keys), challenge }))
    }

    /// Replaces the keys, for example after their file has changed.
    pub fn replace(&self, keys: ApiKeys) {
        self.0.keys.store(Arc::new(keys));
    }
}

impl Authenticate for ApiKey {
    fn authenticate(&self, request: &Parts, _: &ClientInfo) -> AuthFuture {
        let mut lines = request.headers.get_all(&self.0.header).iter();
        let refuse = |detail| AuthFuture::ready(Refusal::Unauthorized { challenge: self.0.challenge.clone(), detail });
        let (Some(key), None) = (lines.next(), lines.next()) else { return refuse("one API key is required") };
        match self.0.keys.load().find(key.as_bytes()) {
            Some(identity) => AuthFuture::ready(identity.clone()),
            None => refuse("the API key is unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    /// `printf %s abc | sha256sum`
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn authenticate(keys: &[&str]) -> Outcome {
        let known = ApiKeys::parse(&format!("# keys\n\nbot:{ABC}\n")).unwrap();
        assert_eq!((known.len(), known.is_empty()), (1, false));
        let auth = ApiKey::new(HeaderName::from_static("x-api-key"), known, "api");
        let mut parts = http::Request::new(()).into_parts().0;
        for key in keys {
            parts.headers.append("x-api-key", key.parse().unwrap());
        }
        auth.authenticate(&parts, &ClientInfo::default()).take_ready().unwrap()
    }

    #[test]
    fn a_known_key_identifies_its_owner() {
        let Outcome::Verified(verified) = authenticate(&["abc"]) else { panic!("refused") };
        assert_eq!(verified.identity.subject(), Some("bot"));
        for wrong in [&["abd"][..], &[], &["abc", "abc"], &[""]] {
            let Outcome::Refused(refusal) = authenticate(wrong) else { panic!("{wrong:?}") };
            let response = refusal.into_response();
            assert_eq!(response.status(), 401);
            assert_eq!(response.headers()["www-authenticate"], "ApiKey realm=\"api\", header=\"x-api-key\"");
        }
    }

    #[test]
    fn invalid_lines_are_errors() {
        for text in ["abc", "name:abc", &format!(":{ABC}"), &format!("a:{ABC}0"), "a:zz"] {
            assert!(matches!(ApiKeys::parse(text), Err(Error::Line { line: 1, .. })), "{text}");
        }
    }
}
