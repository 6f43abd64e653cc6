//! [`AuthLayer`]: an authenticator as a tower layer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, ClientInfo};
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Authenticate, Outcome};

/// Admits verified clients, with an `Arc<`[`Identity`](dunlin_http::Identity)`>` in the request's
/// extensions, and refuses all others.
#[derive(Debug)]
#[must_use]
pub struct AuthLayer<A>(Arc<A>);

/// The service of an [`AuthLayer`].
#[derive(Debug)]
pub struct AuthService<S, A> {
    inner: S,
    authenticator: Arc<A>,
}

// === impl AuthLayer ===

impl<A: Authenticate> AuthLayer<A> {
    /// Makes a layer with this authenticator.
    pub fn new(authenticator: A) -> Self {
        Self(Arc::new(authenticator))
    }
}

impl<A> Clone for AuthLayer<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S, A> Layer<S> for AuthLayer<A> {
    type Service = AuthService<S, A>;

    fn layer(&self, inner: S) -> AuthService<S, A> {
        AuthService { inner, authenticator: self.0.clone() }
    }
}

// === impl AuthService ===

impl<S: Clone, A> Clone for AuthService<S, A> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), authenticator: self.authenticator.clone() }
    }
}

impl<S, A, B, R> Service<Request<B>> for AuthService<S, A>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    A: Authenticate,
    B: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let client = parts.extensions.get::<ClientInfo>().copied().unwrap_or_default();
        let outcome = self.authenticator.authenticate(&parts, &client);
        // The service that was polled ready is called, and replaced by a clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            match outcome.await {
                Outcome::Refused(refusal) => Ok(refusal.into_response()),
                Outcome::Verified(verified) => {
                    verified.apply(&mut parts.headers);
                    parts.extensions.insert(verified.identity);
                    inner.call(Request::from_parts(parts, body)).await.map(|response| response.map(Body::new))
                }
            }
        })
    }
}
