//! Signed tokens (RFC 7519, RFC 8725, RFC 6750).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dunlin_auth::{Jwt, JwtConfig, KeySet};
use dunlin_http::BoxError;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::{authenticate, bearer, refused, subject};

const RSA: &[u8] = include_bytes!("keys/rsa.pem");
const P256: &[u8] = include_bytes!("keys/p256.pem");
const P384: &[u8] = include_bytes!("keys/p384.pem");
const ED25519: &[u8] = include_bytes!("keys/ed25519.pem");
const SECRET: &[u8] = b"a secret of more than 32 bytes for HMAC";

#[allow(clippy::disallowed_methods, reason = "tokens have real times")]
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn sign(algorithm: Algorithm, id: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let _ = Jwt::new(KeySet::from_secret(SECRET).unwrap(), JwtConfig::default());
    let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

fn claims() -> Value {
    json!({ "sub": "ada", "exp": now() + 60, "iss": "https://id/", "aud": ["api", "web"] })
}

fn strict() -> JwtConfig {
    JwtConfig { issuer: Some("https://id/".into()), audience: Some("api".into()), ..JwtConfig::default() }
}

/// A JWK set of public keys of these private ones, with their names as ids.
fn jwks(names: &[&str]) -> Vec<u8> {
    let jwk = |name: &&str| {
        let (key, algorithm) = private(name);
        let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some((*name).to_owned());
        jwk
    };
    serde_json::to_vec(&json!({ "keys": names.iter().map(jwk).collect::<Vec<_>>() })).unwrap()
}

fn private(name: &str) -> (EncodingKey, Algorithm) {
    let _ = Jwt::new(KeySet::from_secret(SECRET).unwrap(), JwtConfig::default());
    match name {
        "rsa" => (EncodingKey::from_rsa_pem(RSA).unwrap(), Algorithm::RS256),
        "p256" => (EncodingKey::from_ec_pem(P256).unwrap(), Algorithm::ES256),
        "p384" => (EncodingKey::from_ec_pem(P384).unwrap(), Algorithm::ES384),
        "ed25519" => (EncodingKey::from_ed_pem(ED25519).unwrap(), Algorithm::EdDSA),
        "other" => (EncodingKey::from_ec_pem(include_bytes!("keys/other.pem")).unwrap(), Algorithm::ES256),
        _ => (EncodingKey::from_secret(SECRET), Algorithm::HS256),
    }
}

#[tokio::test]
async fn every_algorithm_is_verified() {
    let rsa: &[u8] = include_bytes!("keys/rsa.pub.pem");
    let (rs, ps) = (EncodingKey::from_rsa_pem(RSA).unwrap(), EncodingKey::from_rsa_pem(RSA).unwrap());
    for (algorithm, private, public) in [
        (Algorithm::RS256, &rs, rsa),
        (Algorithm::RS384, &rs, rsa),
        (Algorithm::RS512, &rs, rsa),
        (Algorithm::PS256, &ps, rsa),
        (Algorithm::PS512, &ps, rsa),
        (Algorithm::ES256, &EncodingKey::from_ec_pem(P256).unwrap(), include_bytes!("keys/p256.pub.pem")),
        (Algorithm::ES384, &EncodingKey::from_ec_pem(P384).unwrap(), include_bytes!("keys/p384.pub.pem")),
        (Algorithm::EdDSA, &EncodingKey::from_ed_pem(ED25519).unwrap(), include_bytes!("keys/ed25519.pub.pem")),
    ] {
        let jwt = Jwt::new(KeySet::from_pem(public).unwrap(), strict());
        let token = sign(algorithm, None, private, &claims());
        for _ in 0..2 {
            assert_eq!(subject(authenticate(&jwt, &bearer(&token)).await), Ok("ada".into()), "{algorithm:?}");
        }
        let cut = &token[..token.len() - 4];
        assert_eq!(subject(authenticate(&jwt, &bearer(cut)).await), Err(401), "{algorithm:?}");
    }
    let jwt = Jwt::new(KeySet::from_secret(SECRET).unwrap(), strict());
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let token = sign(algorithm, None, &EncodingKey::from_secret(SECRET), &claims());
        assert_eq!(subject(authenticate(&jwt, &bearer(&token)).await), Ok("ada".into()), "{algorithm:?}");
    }
}

#[tokio::test]
async fn the_key_decides_the_algorithm() {
    let public: &[u8] = include_bytes!("keys/rsa.pub.pem");
    let jwt = Jwt::new(KeySet::from_pem(public).unwrap(), JwtConfig::default());
    // The classic confusion: the public key as an HMAC secret.
    let confused = sign(Algorithm::HS256, None, &EncodingKey::from_secret(public), &claims());
    assert_eq!(subject(authenticate(&jwt, &bearer(&confused)).await), Err(401));
    // {"alg":"none"} with the claims of a good token, with and without its signature.
    let good = sign(Algorithm::RS256, None, &EncodingKey::from_rsa_pem(RSA).unwrap(), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    for signature in ["", parts[2]] {
        let none = format!("eyJhbGciOiJub25lIn0.{}.{signature}", parts[1]);
        assert_eq!(subject(authenticate(&jwt, &bearer(&none)).await), Err(401));
    }
    // {"alg":"RS256","crit":["x"]}
    let critical = format!("eyJhbGciOiJSUzI1NiIsImNyaXQiOlsieCJdfQ.{}.{}", parts[1], parts[2]);
    assert_eq!(subject(authenticate(&jwt, &bearer(&critical)).await), Err(401));
    // A symmetric key in a public set is ignored.
    let set = json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" }] }).to_string();
    assert!(KeySet::from_jwks(set.as_bytes()).is_err());
    assert!(KeySet::from_secret(b"short").is_err());
}

#[tokio::test]
async fn claims_are_required() {
    let jwt = Jwt::new(KeySet::from_secret(SECRET).unwrap(), strict());
    let check = async |change: &[(&str, Value)], expect: &str| {
        let mut claims = claims();
        for (name, value) in change {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(*name)),
                value => claims[*name] = value.clone(),
            }
        }
        let token = sign(Algorithm::HS256, None, &EncodingKey::from_secret(SECRET), &claims);
        let response = refused(authenticate(&jwt, &bearer(&token)).await);
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"api\", error=\"invalid_token\"");
        let body = String::from_utf8_lossy(response.body().as_bytes().unwrap()).into_owned();
        assert!(response.status() == 401 && body.contains(expect), "{change:?}: {body}");
    };
    check(&[("exp", json!(now() - 60))], "has expired").await;
    check(&[("exp", Value::Null)], "lacks a required claim").await;
    check(&[("nbf", json!(now() + 90))], "not valid yet").await;
    check(&[("iss", json!("https://other/"))], "another issuer").await;
    check(&[("iss", Value::Null)], "lacks a required claim").await;
    check(&[("aud", json!("other"))], "another audience").await;
    check(&[("aud", Value::Null)], "lacks a required claim").await;
    let missing = refused(authenticate(&jwt, &[]).await);
    assert_eq!(missing.headers()["www-authenticate"], "Bearer realm=\"api\"");
}

#[tokio::test]
async fn keys_are_fetched_kept_and_rotated() {
    let fetches = Arc::new(AtomicU32::new(0));
    let counter = fetches.clone();
    let jwt = Jwt::with_source(
        move || {
            let count = counter.fetch_add(1, Ordering::Relaxed);
            async move {
                match count {
                    0 => Ok::<_, BoxError>(Bytes::from(jwks(&["p256"]))),
                    1 => Ok(Bytes::from(jwks(&["p256", "ed25519", "rsa"]))),
                    _ => Err("away".into()),
                }
            }
        },
        strict(),
    );
    let token = |name: &str| {
        let (key, algorithm) = private(name);
        sign(algorithm, Some(name), &key, &claims())
    };
    // Concurrent requests share the first fetch.
    let first = token("p256");
    let fields = bearer(&first);
    let requests = tokio::join!(authenticate(&jwt, &fields), authenticate(&jwt, &fields), authenticate(&jwt, &fields));
    assert!(subject(requests.0).is_ok() && subject(requests.1).is_ok() && subject(requests.2).is_ok());
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
    // An unknown key causes another fetch, but not within the interval.
    assert_eq!(subject(authenticate(&jwt, &bearer(&token("ed25519"))).await), Err(401));
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
    assert_eq!(subject(authenticate(&jwt, &bearer(&first)).await), Ok("ada".into()));
    // Another key with the same id does not verify.
    let (key, _) = private("other");
    let forged = sign(Algorithm::ES256, Some("p256"), &key, &claims());
    assert_eq!(subject(authenticate(&jwt, &bearer(&forged)).await), Err(401));
}

#[tokio::test]
async fn a_request_without_keys_is_503_until_a_fetch_succeeds() {
    let fetches = Arc::new(AtomicU32::new(0));
    let counter = fetches.clone();
    let jwt = Jwt::with_source(
        move || {
            let count = counter.fetch_add(1, Ordering::Relaxed);
            async move { if count == 0 { Err("away".into()) } else { Ok::<_, BoxError>(Bytes::from(jwks(&["rsa"]))) } }
        },
        JwtConfig::default(),
    );
    let (key, algorithm) = private("rsa");
    let token = sign(algorithm, Some("rsa"), &key, &claims());
    let refused_once = refused(authenticate(&jwt, &bearer(&token)).await);
    assert_eq!(
        (refused_once.status().as_u16(), &refused_once.headers()["retry-after"]),
        (503, &http::HeaderValue::from_static("5"))
    );
    let start = std::time::Instant::now();
    while subject(authenticate(&jwt, &bearer(&token)).await) != Ok("ada".into()) {
        assert!(start.elapsed().as_secs() < 60, "the keys are not fetched again");
        tokio::task::yield_now().await;
    }
    assert_eq!(fetches.load(Ordering::Relaxed), 2);
}

#[test]
fn invalid_sets_are_errors() {
    for text in ["", "[]", "{}", "{\"keys\":1}", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"RSA\"}]}", "{\"keys\":[7]}"] {
        assert!(KeySet::from_jwks(text.as_bytes()).is_err(), "{text}");
    }
    let encryption = String::from_utf8(jwks(&["rsa"])).unwrap().replace("\"kty\"", "\"use\":\"enc\",\"kty\"");
    assert!(KeySet::from_jwks(encryption.as_bytes()).is_err(), "{encryption}");
    assert!(KeySet::from_pem(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").is_err());
}
