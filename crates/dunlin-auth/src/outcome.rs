//! [`Authenticate`] and its result, [`Outcome`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use dunlin_http::{Body, ClientInfo, Identity, Problem};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

/// Verifies the credentials of requests.
pub trait Authenticate: Send + Sync + 'static {
    /// Verifies the credentials of a request. The future borrows neither argument.
    fn authenticate(&self, request: &Parts, client: &ClientInfo) -> AuthFuture;
}

/// The result of [`Authenticate::authenticate`].
#[derive(Debug)]
pub enum Outcome {
    /// The client is verified.
    Verified(Verified),
    /// The client is not verified, or cannot be verified at present.
    Refused(Refusal),
}

/// A verified client.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The verified claims.
    pub identity: Arc<Identity>,
    /// Request fields that the authenticator sets for the handler. They replace those of the
    /// client, and `None` removes a field.
    pub fields: Vec<(HeaderName, Option<HeaderValue>)>,
}

/// The reason why a request is refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// There are no valid credentials. The response is 401 with a challenge (RFC 9110 §15.5.2).
    Unauthorized {
        /// The value of `WWW-Authenticate`.
        challenge: HeaderValue,
        /// The reason, for the client.
        detail: &'static str,
    },
    /// The client is verified, but not allowed. The response is 403.
    Forbidden,
    /// The credentials cannot be verified at present. The response is 503 with `Retry-After`.
    Unavailable {
        /// The seconds after which the client may retry.
        retry_after: u32,
    },
    /// The response of another service, which made the decision.
    Response(Box<Response<Body>>),
}

/// An outcome that is ready, or the boxed future of one.
#[must_use = "futures do nothing unless polled"]
pub struct AuthFuture(State);

enum State {
    Ready(Option<Outcome>),
    Waiting(Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

// === impl Verified ===

impl Verified {
    /// Sets the authenticator's fields in a request.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.fields {
            match value {
                Some(value) => drop(headers.insert(name, value.clone())),
                None => drop(headers.remove(name)),
            }
        }
    }
}

impl From<Arc<Identity>> for Verified {
    fn from(identity: Arc<Identity>) -> Self {
        Self { identity, fields: Vec::new() }
    }
}

// === impl Refusal ===

impl Refusal {
    /// Makes the response: a problem document, or the response of another service.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let problem = match self {
            Self::Unauthorized { challenge, detail } => {
                Problem::new(StatusCode::UNAUTHORIZED).header(WWW_AUTHENTICATE, challenge).detail(detail)
            }
            Self::Forbidden => Problem::new(StatusCode::FORBIDDEN).detail("the credentials do not allow this request"),
            Self::Unavailable { retry_after } => Problem::new(StatusCode::SERVICE_UNAVAILABLE)
                .header(RETRY_AFTER, HeaderValue::from(retry_after))
                .detail("credentials cannot be verified at present"),
            Self::Response(response) => return *response,
        };
        problem.into_response()
    }
}

// === impl Outcome ===

impl From<Arc<Identity>> for Outcome {
    fn from(identity: Arc<Identity>) -> Self {
        Self::Verified(identity.into())
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

// === impl AuthFuture ===

impl AuthFuture {
    /// Makes the future of an outcome that is ready.
    pub fn ready(outcome: impl Into<Outcome>) -> Self {
        Self(State::Ready(Some(outcome.into())))
    }

    /// Boxes the future of an outcome.
    pub fn boxed(future: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self(State::Waiting(Box::pin(future)))
    }

    /// Takes the outcome if it is ready. The future is pending from then on.
    pub fn take_ready(&mut self) -> Option<Outcome> {
        match &mut self.0 {
            State::Ready(outcome) => outcome.take(),
            State::Waiting(_) => None,
        }
    }
}

impl Future for AuthFuture {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Outcome> {
        match &mut self.0 {
            // A poll after completion breaks the contract of futures. It stays pending.
            State::Ready(outcome) => outcome.take().map_or(Poll::Pending, Poll::Ready),
            State::Waiting(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for AuthFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFuture").finish_non_exhaustive()
    }
}
