//! [`Boxed`]: a handler whose future is boxed.

use std::convert::Infallible;

use dunlin_http::{Body, Context, Handler, ReplyFuture};
use http::Request;

/// A handler whose future is boxed.
pub(super) struct Boxed<H>(pub(super) H);

// === impl Boxed ===

impl<H> Handler<Context> for Boxed<H>
where
    H: Handler<Context, Error = Infallible>,
{
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, context: &Context) -> ReplyFuture {
        ReplyFuture::boxed(self.0.handle(request, context))
    }
}
