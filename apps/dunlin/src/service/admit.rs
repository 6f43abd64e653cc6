//! The stage that accepts or refuses a request, before anything expensive happens.

use dunlin_http::{Body, Context, Limited, Problem};
use http::{Request, Response, StatusCode};

/// The conditions of a route, compiled. A route without any pays one branch.
#[derive(Debug)]
pub(super) struct Admit {
    /// The limit of a request body, in bytes.
    pub(super) max_body: u64,
}

/// The decision about a request. What is learnt about the client goes into the [`Context`].
#[allow(clippy::large_enum_variant, reason = "the request is the usual case, and is moved once")]
pub(super) enum Admitted {
    /// The request goes on.
    Request(Request<Body>),
    /// This response is its end.
    Response(Response<Body>),
}

// === impl Admit ===

impl Admit {
    pub(super) fn decide(&self, request: Request<Body>, _: &mut Context) -> Admitted {
        let body = request.body();
        if body.len().is_some_and(|length| length > self.max_body) {
            return Admitted::Response(Problem::new(StatusCode::PAYLOAD_TOO_LARGE).into_response());
        }
        if body.is_empty() {
            return Admitted::Request(request);
        }
        Admitted::Request(request.map(|body| Body::new(Limited::new(body, self.max_body))))
    }
}
