//! Several authenticators, and required claims.

use std::sync::Arc;

use dunlin_auth::{AnyOf, ApiKey, ApiKeys, Authenticate, Basic, Require, Users};
use http::HeaderName;

use crate::{authenticate, refused, subject};

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn key() -> Arc<dyn Authenticate> {
    let keys = ApiKeys::parse(&format!("bot:{ABC}")).unwrap();
    Arc::new(ApiKey::new(HeaderName::from_static("x-api-key"), keys, "api"))
}

fn basic() -> Arc<dyn Authenticate> {
    let users = Users::parse(&format!("ada:{}", bcrypt::hash("secret", 4).unwrap())).unwrap();
    Arc::new(Basic::new(users, "staff"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_authenticators_is_enough() {
    let any = AnyOf::new([basic(), key()]);
    let key = ("x-api-key", "abc".to_owned());
    let password = ("authorization", "Basic YWRhOnNlY3JldA==".to_owned());
    assert_eq!(subject(authenticate(&any, std::slice::from_ref(&key)).await), Ok("bot".into()));
    assert_eq!(subject(authenticate(&any, &[password]).await), Ok("ada".into()));
    let wrong = ("authorization", "Basic YWRhOndyb25n".to_owned());
    assert_eq!(subject(authenticate(&any, &[wrong.clone(), key]).await), Ok("bot".into()));
    let response = refused(authenticate(&any, &[wrong]).await);
    assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("ApiKey") || response.status() == 401);
    assert_eq!(subject(authenticate(&AnyOf::new([]), &[]).await), Err(403));
}

#[tokio::test]
async fn a_known_client_without_the_claim_is_403() {
    let require = |value: &str| Require::new(key(), [("sub".to_owned(), vec!["x".to_owned(), value.to_owned()])]);
    let abc = [("x-api-key", "abc".to_owned())];
    assert_eq!(subject(authenticate(&require("bot"), &abc).await), Ok("bot".into()));
    assert_eq!(subject(authenticate(&require("ada"), &abc).await), Err(403));
    assert_eq!(subject(authenticate(&require("bot"), &[]).await), Err(401));
}
