//! [`Compress`] and [`Decompress`](crate::Decompress) as [`Handler`]s.

use dunlin_http::{Body, Handler};
use http::Request;

use crate::Compress;
use crate::future::ReplyFuture;

impl<C, H: Handler<C>> Handler<C> for Compress<H> {
    type Error = H::Error;
    type Future = ReplyFuture<H::Future>;

    fn handle(&self, request: Request<Body>, context: &C) -> Self::Future {
        self.reply(request, |handler, request| handler.handle(request, context))
    }
}
