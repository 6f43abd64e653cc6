//! [`KeySet`]: the keys that tokens are verified with.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::Error;

/// The number of keys that are read of one set.
const MAX_KEYS: usize = 64;
/// RFC 7518 §3.2: a key as long as the hash, at least that of SHA-256.
const MIN_SECRET: usize = 32;

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
const HMAC: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

/// Keys with the algorithms that each may be used for.
///
/// A key is never used for an algorithm of another family, whatever a token's header names
/// (RFC 8725 §3.1).
#[derive(Clone, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

// === impl KeySet ===

impl KeySet {
    /// Reads a JWK set (RFC 7517 §5). Keys for encryption, of unknown types, and symmetric ones are
    /// left out: a set that is fetched is public.
    ///
    /// # Errors
    /// Returns an error if the text is no JWK set, or if no key of it can be used.
    pub fn from_jwks(json: &[u8]) -> Result<Self, Error> {
        let wrong = |what: &str| Error::Key(what.to_owned());
        let set: Value = serde_json::from_slice(json).map_err(|_| wrong("expected a JWK set in JSON"))?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or_else(|| wrong("expected a list \"keys\""))?;
        let keys: Vec<Key> = keys.iter().take(MAX_KEYS).filter_map(Key::of_jwk).collect();
        if keys.is_empty() {
            Err(wrong("the JWK set has no key that signatures can be verified with"))
        } else {
            Ok(Self(keys))
        }
    }

    /// Reads a public key in PEM: RSA, an elliptic curve (P-256, P-384) or Ed25519.
    ///
    /// # Errors
    /// Returns an error if it is none of these.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let (algorithms, key) = if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            (RSA.to_vec(), key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            (vec![Algorithm::ES256, Algorithm::ES384], key)
        } else if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            (vec![Algorithm::EdDSA], key)
        } else {
            return Err(Error::Key("expected a public key of RSA, P-256, P-384 or Ed25519 in PEM".to_owned()));
        };
        Ok(Self(vec![Key { id: None, algorithms, key }]))
    }

    /// A secret that signer and verifier share, for HS256, HS384 and HS512.
    ///
    /// # Errors
    /// Returns an error if the secret is shorter than 32 bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self, Error> {
        if secret.len() < MIN_SECRET {
            return Err(Error::Key(format!("a secret must have at least {MIN_SECRET} bytes (RFC 7518 §3.2)")));
        }
        Ok(Self(vec![Key { id: None, algorithms: HMAC.to_vec(), key: DecodingKey::from_secret(secret) }]))
    }

    /// The keys that a token with this header may be signed by.
    pub(super) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> impl Iterator<Item = &Key> {
        let fits = move |key: &&Key| {
            let same_id = match (id, key.id.as_deref()) {
                (Some(wanted), Some(own)) => wanted == own,
                _ => true,
            };
            same_id && key.algorithms.contains(&algorithm)
        };
        self.0.iter().filter(fits)
    }
}

/// Shows no key.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.iter().map(|key| (key.id.as_deref(), &key.algorithms));
        f.debug_list().entries(keys).finish()
    }
}

// === impl Key ===

impl Key {
    fn of_jwk(value: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA.to_vec(),
            AlgorithmParameters::EllipticCurve(params) => match params.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
            _ => return None,
        };
        if let Some(named) = jwk.common.key_algorithm {
            let named: Algorithm = named.to_string().parse().ok()?;
            algorithms.retain(|algorithm| *algorithm == named);
        }
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| !algorithms.is_empty())?;
        Some(Self { id: jwk.common.key_id, algorithms, key })
    }
}
