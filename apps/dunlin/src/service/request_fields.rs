//! `request_headers`: the stage between the cache and the handler.
//!
//! It is inside the cache, which sees the request as the client sent it.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use dunlin_http::{Body, Context, Handler, ReplyFuture, SharedHandler};
use http::Request;

use crate::fields::{Facts, FieldEdits};
use crate::routes::Captures;

/// A handler whose requests are edited.
pub(super) struct EditRequest {
    edits: FieldEdits,
    captures: Captures,
    inner: SharedHandler<Context>,
}

// === impl EditRequest ===

impl EditRequest {
    pub(super) const fn new(edits: FieldEdits, captures: Captures, inner: SharedHandler<Context>) -> Self {
        Self { edits, captures, inner }
    }
}

impl Handler<Context> for EditRequest {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, mut request: Request<Body>, context: &Context) -> ReplyFuture {
        let facts = self.edits.needs_facts().then(|| {
            let identity = context.identity.clone().map(|identity| Arc::new(OnceLock::from(identity)));
            Facts::new(&request, &context.client, identity)
        });
        self.edits.apply(request.headers_mut(), facts.as_ref(), &self.captures);
        self.inner.handle(request, context)
    }
}
