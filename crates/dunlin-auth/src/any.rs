//! [`AnyOf`]: several authenticators, of which one has to verify the client.

use std::sync::Arc;

use dunlin_http::ClientInfo;
use http::request::Parts;

use crate::{AuthFuture, Authenticate, Outcome, Refusal};

/// Calls authenticators in turn until one verifies the client.
///
/// If none does, the refusal of the first is the result. An authenticator that could not decide
/// takes precedence, because the credentials may be valid.
#[derive(Clone)]
pub struct AnyOf(Arc<[Arc<dyn Authenticate>]>);

// === impl AnyOf ===

impl AnyOf {
    /// Calls these authenticators, in this order. An empty list refuses every request with 403.
    #[must_use]
    pub fn new(authenticators: impl IntoIterator<Item = Arc<dyn Authenticate>>) -> Self {
        Self(authenticators.into_iter().collect())
    }
}

impl Authenticate for AnyOf {
    fn authenticate(&self, request: &Parts, client: &ClientInfo) -> AuthFuture {
        let mut refusal = None;
        let mut waiting = Vec::new();
        for authenticator in &*self.0 {
            let mut future = authenticator.authenticate(request, client);
            match future.take_ready() {
                Some(Outcome::Verified(verified)) => return AuthFuture::ready(Outcome::Verified(verified)),
                Some(Outcome::Refused(other)) => refusal = Some(prefer(refusal, other)),
                None => waiting.push(future),
            }
        }
        if waiting.is_empty() {
            return AuthFuture::ready(refusal.unwrap_or(Refusal::Forbidden));
        }
        AuthFuture::boxed(async move {
            for future in waiting {
                match future.await {
                    Outcome::Refused(other) => refusal = Some(prefer(refusal, other)),
                    verified @ Outcome::Verified(_) => return verified,
                }
            }
            refusal.unwrap_or(Refusal::Forbidden).into()
        })
    }
}

/// The refusal that becomes the result.
fn prefer(first: Option<Refusal>, later: Refusal) -> Refusal {
    match (first, later) {
        (Some(first), Refusal::Unavailable { .. } | Refusal::Response(_))
            if matches!(first, Refusal::Unavailable { .. } | Refusal::Response(_)) =>
        {
            first
        }
        (Some(first), Refusal::Unauthorized { .. } | Refusal::Forbidden) => first,
        (_, later) => later,
    }
}

impl std::fmt::Debug for AnyOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AnyOf").field(&self.0.len()).finish()
    }
}
