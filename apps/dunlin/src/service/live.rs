//! [`Live`]: the switch between the layers of a route and its events.
//!
//! Events are neither cached nor compressed, so the switch is outside of both.

use std::convert::Infallible;

use dunlin_http::{Body, Context, Handler, Reply, ReplyFuture, SharedHandler, vary};
use dunlin_live::accepts_events;
use http::{Method, Request};

/// A route with events for the clients that accept them.
pub(super) struct Live<H> {
    pub(super) events: SharedHandler<Context>,
    pub(super) layers: H,
}

// === impl Live ===

impl<H> Handler<Context> for Live<H>
where
    H: Handler<Context, Error = Infallible>,
{
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, context: &Context) -> ReplyFuture {
        if *request.method() == Method::GET && accepts_events(request.headers()) {
            return self.events.handle(request, context);
        }
        let reply = self.layers.handle(request, context);
        ReplyFuture::boxed(async move {
            let mut response = reply.await?.into_response();
            // RFC 9110 §12.5.5: the field chose between the result and its events.
            vary::add(response.headers_mut(), "accept");
            Ok(Reply::Response(response))
        })
    }
}
