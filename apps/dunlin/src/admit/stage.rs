//! [`Admit`]: the decision about one request.

use std::sync::Arc;

use dunlin_auth::{AuthFuture, Authenticate, Outcome};
use dunlin_http::{Body, Context, Limited, Problem};
use http::{Request, Response, StatusCode};

use super::cors::Cors;
use super::networks::Networks;
use super::rate_limit::RateLimit;
use crate::fields::IdentitySlot;

/// The conditions of a route on one event loop.
pub(crate) struct Admit {
    /// The limit of a request body, in bytes, if it is not the server's.
    pub(super) max_body: Option<u64>,
    pub(super) networks: Option<Networks>,
    pub(super) limit: Option<RateLimit>,
    pub(super) cors: Option<Cors>,
    pub(super) auth: Option<Arc<dyn Authenticate>>,
}

/// The decision about a request. Facts that were learnt about the client are in its [`Context`].
pub(crate) enum Admitted {
    /// The request goes on.
    Passed,
    /// This response is the end of the request.
    Answered(Response<Body>),
    /// The client's credentials are being verified.
    Waiting(Verifying),
}

/// The verification of a client's credentials.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Verifying(AuthFuture);

// === impl Admit ===

impl Admit {
    /// Returns `true` if clients prove who they are.
    pub(crate) const fn has_auth(&self) -> bool {
        self.auth.is_some()
    }

    /// Returns `true` if cross-origin requests are admitted.
    pub(crate) const fn has_cors(&self) -> bool {
        self.cors.is_some()
    }

    /// Decides about a request: first what costs least, and the credentials last.
    pub(crate) fn decide(
        &self,
        request: &mut Request<Body>,
        context: &mut Context,
        identity: Option<&IdentitySlot>,
    ) -> Admitted {
        if self.networks.as_ref().is_some_and(|networks| !networks.admit(context.client.ip)) {
            let problem = Problem::new(StatusCode::FORBIDDEN).detail("requests from this address are not allowed");
            return Admitted::Answered(problem.into_response());
        }
        // A preflight has no credentials, and says nothing that they protect.
        if let Some(preflight) = self.cors.as_ref().and_then(|cors| cors.preflight(request)) {
            return Admitted::Answered(preflight);
        }
        if let Some(refusal) = self.limit.as_ref().filter(|limit| !limit.needs_identity())
            && let Some(response) = refusal.refuse(request, context)
        {
            return Admitted::Answered(response);
        }
        if let Some(response) = self.max_body.and_then(|limit| limit_body(request.body_mut(), limit)) {
            return Admitted::Answered(response);
        }
        let Some(auth) = &self.auth else { return Admitted::Passed };
        let (parts, body) = std::mem::take(request).into_parts();
        let mut verifying = auth.authenticate(&parts, &context.client);
        *request = Request::from_parts(parts, body);
        match verifying.take_ready() {
            Some(outcome) => match self.verified(outcome, request, context, identity) {
                Some(response) => Admitted::Answered(response),
                None => Admitted::Passed,
            },
            None => Admitted::Waiting(Verifying(verifying)),
        }
    }

    /// Waits for the credentials. Returns the response to a request that is refused.
    pub(crate) async fn wait(
        &self,
        verifying: Verifying,
        request: &mut Request<Body>,
        context: &mut Context,
        identity: Option<&IdentitySlot>,
    ) -> Option<Response<Body>> {
        let outcome = verifying.0.await;
        self.verified(outcome, request, context, identity)
    }

    fn verified(
        &self,
        outcome: Outcome,
        request: &mut Request<Body>,
        context: &mut Context,
        identity: Option<&IdentitySlot>,
    ) -> Option<Response<Body>> {
        let verified = match outcome {
            Outcome::Refused(refusal) => return Some(refusal.into_response()),
            Outcome::Verified(verified) => verified,
        };
        verified.apply(request.headers_mut());
        if let Some(identity) = identity {
            let _ = identity.set(verified.identity.clone());
        }
        context.identity = Some(verified.identity);
        let limit = self.limit.as_ref().filter(|limit| limit.needs_identity())?;
        limit.refuse(request, context)
    }
}

/// Limits a request body. Returns the response to one that is known to be too long.
fn limit_body(body: &mut Body, limit: u64) -> Option<Response<Body>> {
    if body.len().is_some_and(|length| length > limit) {
        return Some(Problem::new(StatusCode::PAYLOAD_TOO_LARGE).into_response());
    }
    if !body.is_empty() {
        *body = Body::new(Limited::new(std::mem::take(body), limit));
    }
    None
}
