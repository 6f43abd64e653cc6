//! The stage that accepts or refuses a request, before anything expensive happens.

use dunlin_http::{Body, Context, Limited, Problem};
use http::{Request, Response, StatusCode};

/// The conditions of a route, compiled. A route without any pays one branch.
#[derive(Debug)]
pub(super) struct Admit {
    /// The limit of a request body, in bytes.
    pub(super) max_body: u64,
}

/// The decision about a request. Facts that were learnt about the client are in its [`Context`].
pub(super) enum Admitted {
    /// The request goes on.
    Passed,
    /// This response is the end of the request.
    Answered(Response<Body>),
}

// === impl Admit ===

impl Admit {
    pub(super) fn decide(&self, request: &mut Request<Body>, _: &mut Context) -> Admitted {
        let body = request.body_mut();
        if body.len().is_some_and(|length| length > self.max_body) {
            return Admitted::Answered(Problem::new(StatusCode::PAYLOAD_TOO_LARGE).into_response());
        }
        if !body.is_empty() {
            *body = Body::new(Limited::new(std::mem::take(body), self.max_body));
        }
        Admitted::Passed
    }
}
