//! [`Compress`], the service.

use std::sync::Arc;
use std::task::{Context, Poll};

use dunlin_http::{Body, Reply};
use http::{Request, Response};
use tower_service::Service;

use crate::future::{Asked, ReplyFuture, ResponseFuture};
use crate::layer::{Held, Shared};

/// A service whose answers are compressed as the client asked; made by
/// [`CompressLayer`](crate::CompressLayer).
#[derive(Clone)]
pub struct Compress<S> {
    inner: S,
    held: Arc<Held>,
}

// === impl Compress ===

impl<S> Compress<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, held: Arc::new(Held(shared)) }
    }

    /// Answers one request by what `call` gets of the inner service: for those that need only a
    /// reference to it, which is cheaper than a clone.
    pub fn answer<A, F>(&self, request: Request<A>, call: impl FnOnce(&S, Request<A>) -> F) -> ResponseFuture<F> {
        let asked = Asked::by(&request, &self.held.0.config.prefer);
        ResponseFuture::new(call(&self.inner, request), asked, Arc::clone(&self.held))
    }

    /// As [`Compress::answer`], for an owner that hands the answer to a server: one that comes with
    /// a head that was written before goes on with one.
    pub fn reply<A, F>(&self, request: Request<A>, call: impl FnOnce(&S, Request<A>) -> F) -> ReplyFuture<F> {
        let asked = Asked::by(&request, &self.held.0.config.prefer);
        ReplyFuture::new(call(&self.inner, request), asked, Arc::clone(&self.held))
    }
}

impl<S, A> Service<Request<A>> for Compress<S>
where
    S: Service<Request<A>>,
    S::Response: Into<Reply>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> ResponseFuture<S::Future> {
        let asked = Asked::by(&request, &self.held.0.config.prefer);
        ResponseFuture::new(self.inner.call(request), asked, Arc::clone(&self.held))
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Compress<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compress").field("inner", &self.inner).finish_non_exhaustive()
    }
}
