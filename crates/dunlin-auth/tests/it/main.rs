//! Authenticators under tower and axum, with keys and hashes of other programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod basic;
mod combined;
mod forward;
mod jwt;
mod layer;

use dunlin_auth::{Authenticate, Outcome};
use dunlin_http::{Body, ClientInfo};
use http::{Request, Response};

/// Authenticates a request with these fields.
async fn authenticate(authenticator: &impl Authenticate, fields: &[(&'static str, String)]) -> Outcome {
    let mut parts = Request::new(()).into_parts().0;
    for (name, value) in fields {
        parts.headers.append(*name, value.parse().unwrap());
    }
    authenticator.authenticate(&parts, &ClientInfo::default()).await
}

/// The field with a bearer token.
fn bearer(token: &str) -> [(&'static str, String); 1] {
    [("authorization", format!("Bearer {token}"))]
}

/// The subject of a verified client, or the status of the refusal.
fn subject(outcome: Outcome) -> Result<String, u16> {
    match outcome {
        Outcome::Verified(verified) => Ok(verified.identity.subject().unwrap_or_default().to_owned()),
        Outcome::Refused(refusal) => Err(refusal.into_response().status().as_u16()),
    }
}

/// The response to a refused request.
fn refused(outcome: Outcome) -> Response<Body> {
    match outcome {
        Outcome::Verified(_) => panic!("verified"),
        Outcome::Refused(refusal) => refusal.into_response(),
    }
}
