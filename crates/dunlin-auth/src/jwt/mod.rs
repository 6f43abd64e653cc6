//! [`Jwt`]: signed tokens (RFC 7519), with given or fetched keys.

mod keys;
mod source;

use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use dunlin_http::{ClientInfo, Clock, Identity};
use http::HeaderValue;
use http::request::Parts;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::{Map, Value};

pub use keys::KeySet;
pub use source::FetchKeys;

use self::source::{Keys, Loaded};
use crate::challenge::challenge;
use crate::remembered::Remembered;
use crate::{AuthFuture, Authenticate, Credentials, Outcome, Refusal};

/// The limit of verified tokens that are remembered.
const MAX_REMEMBERED: usize = 2048;
/// The longest time for which a verified token is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// The seconds after which a client may retry while there are no keys.
const RETRY_AFTER: u32 = 5;

/// The claims that a token must have. `exp` is always required.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// The issuer in `iss`. `None` accepts any. Default: none.
    pub issuer: Option<String>,
    /// The audience that `aud` has to contain. `None` accepts any. Default: none.
    pub audience: Option<String>,
    /// The allowed difference of clocks for `exp` and `nbf`. Default: 30 s.
    pub leeway: Duration,
    /// The realm of the challenge. Default: `api`.
    pub realm: String,
}

/// Verifies bearer tokens that are signed JWTs.
///
/// The algorithms are RS256 to RS512, PS256 to PS512, ES256, ES384, EdDSA and, for a secret only,
/// HS256 to HS512. A token with `alg: none`, with an algorithm that does not fit the key, with
/// critical extensions, or without `exp` is refused (RFC 8725).
#[derive(Clone, Debug)]
pub struct Jwt(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Keys,
    config: JwtConfig,
    remembered: Remembered<VerifiedToken>,
    /// The challenge to a request without a token.
    missing: HeaderValue,
    /// The challenge to an invalid token (RFC 6750 §3.1).
    invalid: HeaderValue,
    clock: Clock,
}

/// The result of a verification.
#[derive(Clone, Debug)]
struct VerifiedToken {
    identity: Arc<Identity>,
    /// The time at which the token expires, in seconds since 1970.
    expires: u64,
}

/// The reason why a token is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    /// The set has no key for it, but a newer set may.
    UnknownKey,
    /// The token itself is invalid, for this reason.
    Token(&'static str),
}

// === impl JwtConfig ===

impl Default for JwtConfig {
    fn default() -> Self {
        Self { issuer: None, audience: None, leeway: Duration::from_secs(30), realm: "api".into() }
    }
}

// === impl Jwt ===

impl Jwt {
    /// Verifies tokens with these keys.
    #[must_use]
    pub fn new(keys: KeySet, config: JwtConfig) -> Self {
        Self::with(Keys::fixed(keys), config)
    }

    /// Verifies tokens with keys from `source`.
    ///
    /// The keys are fetched for the first token, for a token with an unknown key (at most every 30
    /// s), and every ten minutes in the background. If a fetch fails, the known keys stay in use.
    /// Without keys, the response is 503.
    #[must_use]
    pub fn with_source(source: impl FetchKeys, config: JwtConfig) -> Self {
        Self::with(Keys::fetched(source), config)
    }

    fn with(keys: Keys, config: JwtConfig) -> Self {
        static PROVIDER: Once = Once::new();
        // Has no effect if the program has installed a provider.
        PROVIDER.call_once(|| {
            let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
        });
        let missing = challenge("Bearer", &config.realm, "");
        let invalid = challenge("Bearer", &config.realm, ", error=\"invalid_token\"");
        let (remembered, clock) = (Remembered::new(MAX_REMEMBERED), Clock::system());
        Self(Arc::new(Inner { keys, config, remembered, missing, invalid, clock }))
    }
}

impl Authenticate for Jwt {
    fn authenticate(&self, request: &Parts, _: &ClientInfo) -> AuthFuture {
        let inner = &self.0;
        let Some(Credentials::Bearer(token)) = Credentials::of(&request.headers) else {
            let challenge = inner.missing.clone();
            return AuthFuture::ready(Refusal::Unauthorized { challenge, detail: "a bearer token is required" });
        };
        let loaded = inner.keys.loaded();
        if loaded.as_ref().is_some_and(|loaded| loaded.is_old()) {
            inner.keys.refresh_in_background();
        }
        match loaded.map(|loaded| inner.verify(&token, &loaded)) {
            Some(Ok(identity)) => return AuthFuture::ready(identity),
            Some(Err(Invalid::Token(detail))) => return AuthFuture::ready(inner.refuse(detail)),
            Some(Err(Invalid::UnknownKey)) if !inner.keys.may_refresh() => {
                return AuthFuture::ready(inner.refuse(UNKNOWN_KEY));
            }
            Some(Err(Invalid::UnknownKey)) | None => {}
        }
        let inner = inner.clone();
        AuthFuture::boxed(async move {
            let Some(loaded) = inner.keys.refresh().await else {
                return Refusal::Unavailable { retry_after: RETRY_AFTER }.into();
            };
            match inner.verify(&token, &loaded) {
                Ok(identity) => identity.into(),
                Err(Invalid::Token(detail)) => Outcome::from(inner.refuse(detail)),
                Err(Invalid::UnknownKey) => inner.refuse(UNKNOWN_KEY).into(),
            }
        })
    }
}

const UNKNOWN_KEY: &str = "the token is signed with a key or an algorithm that is not accepted";

// === impl Inner ===

impl Inner {
    fn refuse(&self, detail: &'static str) -> Refusal {
        Refusal::Unauthorized { challenge: self.invalid.clone(), detail }
    }

    fn verify(&self, token: &str, loaded: &Loaded) -> Result<Arc<Identity>, Invalid> {
        let (now, seconds) = (Instant::now(), self.seconds());
        // The number makes results of an older set of keys unreachable.
        let fingerprint = self.remembered.fingerprint(&[token.as_bytes(), &loaded.number().to_le_bytes()]);
        let cell = self.remembered.cell(fingerprint, REMEMBERED_FOR, now);
        if let Some(token) = cell.get()
            && seconds < token.expires + self.config.leeway.as_secs()
        {
            return Ok(token.identity.clone());
        }
        match self.decode(token, loaded.keys()) {
            Ok(token) => {
                let identity = token.identity.clone();
                drop(cell.set(token));
                Ok(identity)
            }
            Err(invalid) => {
                self.remembered.forget(&fingerprint);
                Err(invalid)
            }
        }
    }

    fn decode(&self, token: &str, keys: &KeySet) -> Result<VerifiedToken, Invalid> {
        let header = decode_header(token).map_err(|_| Invalid::Token("the token is not a signed JWT"))?;
        // RFC 7515 §4.1.11: an unknown critical extension makes the token invalid.
        if header.crit.is_some() {
            return Err(Invalid::Token("the token has critical extensions"));
        }
        let mut result = Err(Invalid::UnknownKey);
        for key in keys.candidates(header.alg, header.kid.as_deref()) {
            match decode::<Map<String, Value>>(token, &key.key, &self.validation(header.alg)) {
                Ok(data) => {
                    let expires = data.claims.get("exp").and_then(Value::as_f64).map_or(0, |exp| exp as u64);
                    return Ok(VerifiedToken { identity: Arc::new(Identity::new(data.claims)), expires });
                }
                Err(error) => result = Err(Invalid::Token(detail(error.kind()))),
            }
        }
        result
    }

    fn validation(&self, algorithm: jsonwebtoken::Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.validate_aud = self.config.audience.is_some();
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &self.config.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    fn seconds(&self) -> u64 {
        self.clock.now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// The reason as a text for the client.
fn detail(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a required claim",
        ErrorKind::InvalidSignature => "the token's signature is invalid",
        _ => "the token is invalid",
    }
}
