//! [`Compress`], the service.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::negotiate::{AcceptEncoding, Choice};
use dunlin_http::{Body, BoxError};
use http::header::IF_NONE_MATCH;
use http::{Method, Request, Response};
use tower_service::Service;

use crate::future::{Asked, ResponseFuture};
use crate::layer::{Held, Shared};

/// A service whose answers are compressed as the client asked; made by [`CompressLayer`](crate::CompressLayer).
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

    /// Answers one request by what `call` gets of the inner service: for those that need only a reference to it, which is
    /// cheaper than a clone.
    pub fn answer<A, F>(&self, request: Request<A>, call: impl FnOnce(&S, Request<A>) -> F) -> ResponseFuture<F> {
        let asked = self.asked(&request);
        ResponseFuture::new(call(&self.inner, request), asked, Arc::clone(&self.held))
    }

    fn asked<A>(&self, request: &Request<A>) -> Asked {
        let headers = request.headers();
        let coding = match AcceptEncoding::of(headers).choose(&self.held.0.config.prefer) {
            Choice::Coding(coding) => Some(coding),
            // Deviates from RFC 9110 §12.5.3: a client that refuses identity and takes nothing that is on offer gets
            // identity all the same, because the handler's work is done by then, and an answer that the client may be
            // able to read is worth more to it than a 406.
            Choice::Identity | Choice::Nothing => None,
        };
        Asked {
            coding,
            head: *request.method() == Method::HEAD,
            connect: *request.method() == Method::CONNECT,
            if_none_match: headers.get(IF_NONE_MATCH).cloned(),
        }
    }
}

impl<S, A, B> Service<Request<A>> for Compress<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> ResponseFuture<S::Future> {
        let asked = self.asked(&request);
        ResponseFuture::new(self.inner.call(request), asked, Arc::clone(&self.held))
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Compress<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compress").field("inner", &self.inner).finish_non_exhaustive()
    }
}
