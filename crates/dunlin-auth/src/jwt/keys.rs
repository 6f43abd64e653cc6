//! [`KeySet`]: the keys for the verification of tokens.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::Error;

/// The limit of keys in one set. Further keys are ignored.
const MAX_KEYS: usize = 64;
/// The shortest secret, in bytes: RFC 7518 §3.2 requires the length of the hash.
const MIN_SECRET: usize = 32;

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
const HMAC: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

/// Keys, each with the algorithms that it may be used for.
///
/// A token's header cannot choose an algorithm of another family than the key's (RFC 8725 §3.1).
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
    /// Parses a JWK set (RFC 7517 §5). Keys for encryption and of unknown types are ignored, and so
    /// are symmetric keys, because a fetched set is public.
    ///
    /// # Errors
    /// Returns an error if the text is not a JWK set, or if it has no usable key.
    pub fn from_jwks(json: &[u8]) -> Result<Self, Error> {
        let invalid = |what: &str| Error::Key(what.to_owned());
        let set: Value = serde_json::from_slice(json).map_err(|_| invalid("expected a JWK set in JSON"))?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or_else(|| invalid("expected a list \"keys\""))?;
        let keys: Vec<Key> = keys.iter().take(MAX_KEYS).filter_map(Key::of_jwk).collect();
        if keys.is_empty() {
            Err(invalid("the JWK set has no key for the verification of signatures"))
        } else {
            Ok(Self(keys))
        }
    }

    /// Parses a public key in PEM: RSA, an elliptic curve (P-256, P-384) or Ed25519.
    ///
    /// # Errors
    /// Returns an error for any other text.
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

    /// Makes a set of one secret that signer and verifier share, for HS256, HS384 and HS512.
    ///
    /// # Errors
    /// Returns an error if the secret is shorter than 32 bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self, Error> {
        if secret.len() < MIN_SECRET {
            return Err(Error::Key(format!("a secret must have at least {MIN_SECRET} bytes (RFC 7518 §3.2)")));
        }
        Ok(Self(vec![Key { id: None, algorithms: HMAC.to_vec(), key: DecodingKey::from_secret(secret) }]))
    }

    /// The keys that may have signed a token with this header.
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

/// Prints no key.
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
