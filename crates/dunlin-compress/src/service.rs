//! [`Compress`]: the service.

use std::sync::Arc;
use std::task::{Context, Poll};

use dunlin_http::{Body, Handler, Reply, ResponseFuture};
use http::{Request, Response};
use tower_service::Service;

use crate::future::CompressFuture;
use crate::request::RequestInfo;
use crate::shared::{Shared, SharedHandle};

/// A service or a [`Handler`] whose responses are compressed. A
/// [`CompressLayer`](crate::CompressLayer) makes it.
#[derive(Clone)]
pub struct Compress<S> {
    inner: S,
    shared: Arc<SharedHandle>,
}

// === impl Compress ===

impl<S> Compress<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared: Arc::new(SharedHandle(shared)) }
    }

    fn request_info<A>(&self, request: &Request<A>) -> RequestInfo {
        RequestInfo::new(request, &self.shared.0.config.prefer)
    }
}

impl<C, H: Handler<C>> Handler<C> for Compress<H> {
    type Error = H::Error;
    type Future = CompressFuture<H::Future>;

    fn handle(&self, request: Request<Body>, context: &C) -> Self::Future {
        let info = self.request_info(&request);
        CompressFuture::new(self.inner.handle(request, context), info, Arc::clone(&self.shared))
    }
}

impl<S, A> Service<Request<A>> for Compress<S>
where
    S: Service<Request<A>>,
    S::Response: Into<Reply>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<CompressFuture<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let info = self.request_info(&request);
        ResponseFuture::new(CompressFuture::new(self.inner.call(request), info, Arc::clone(&self.shared)))
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Compress<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compress").field("inner", &self.inner).finish_non_exhaustive()
    }
}
