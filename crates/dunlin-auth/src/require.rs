//! [`Require`]: claims that a client must have.

use std::sync::Arc;

use dunlin_http::{ClientInfo, Identity};
use http::request::Parts;

use crate::{AuthFuture, Authenticate, Outcome, Refusal};

/// Refuses verified clients without a required claim, with 403.
///
/// A claim matches if it is the value or contains it, as in [`Identity::has`].
#[derive(Clone, Debug)]
pub struct Require<A> {
    inner: A,
    claims: Arc<[(String, Vec<String>)]>,
}

// === impl Require ===

impl<A> Require<A> {
    /// Requires each of these claims to have one of its values.
    #[must_use]
    pub fn new(inner: A, claims: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self { inner, claims: claims.into_iter().collect() }
    }
}

fn check(claims: &[(String, Vec<String>)], outcome: Outcome) -> Outcome {
    let holds =
        |identity: &Identity| claims.iter().all(|(name, values)| values.iter().any(|value| identity.has(name, value)));
    match outcome {
        Outcome::Verified(verified) if !holds(&verified.identity) => Refusal::Forbidden.into(),
        outcome => outcome,
    }
}

impl<A: Authenticate> Authenticate for Require<A> {
    fn authenticate(&self, request: &Parts, client: &ClientInfo) -> AuthFuture {
        let mut future = self.inner.authenticate(request, client);
        if let Some(outcome) = future.take_ready() {
            return AuthFuture::ready(check(&self.claims, outcome));
        }
        let claims = self.claims.clone();
        AuthFuture::boxed(async move { check(&claims, future.await) })
    }
}

impl Authenticate for Arc<dyn Authenticate> {
    fn authenticate(&self, request: &Parts, client: &ClientInfo) -> AuthFuture {
        (**self).authenticate(request, client)
    }
}
