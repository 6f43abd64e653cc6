//! [`CacheService`] as a [`Handler`].

use std::task::{Context as TaskContext, Poll};

use dunlin_http::{Body, Handler, ResponseFuture as HandlerFuture};
use http::{Request, Response};
use tower_service::Service;

use crate::CacheService;
use crate::service::ReplyFuture;

/// A handler with the context of one request, as the service that the cache asks.
#[derive(Clone)]
struct WithContext<H, C> {
    handler: H,
    context: C,
}

impl<H, C> Handler<C> for CacheService<H>
where
    H: Handler<C, Error: Send> + Clone + Send + 'static,
    C: Clone + Send + 'static,
{
    type Error = H::Error;
    type Future = ReplyFuture<H::Error>;

    fn handle(&self, request: Request<Body>, context: &C) -> Self::Future {
        self.reply_by(request, |handler| WithContext { handler: handler.clone(), context: context.clone() })
    }
}

impl<H, C> Service<Request<Body>> for WithContext<H, C>
where
    H: Handler<C>,
{
    type Response = Response<Body>;
    type Error = H::Error;
    type Future = HandlerFuture<H::Future>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), H::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        HandlerFuture::new(self.handler.handle(request, &self.context))
    }
}
