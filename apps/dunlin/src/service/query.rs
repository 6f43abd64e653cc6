//! `query` routes.

use dunlin_http::Body;
use dunlin_pg::{Answering, QueryService};
use http::Request;

use super::endpoint::Invalidates;
use super::path::Captures;

/// A declared query on this loop's pool.
#[derive(Debug)]
pub(crate) struct QueryEndpoint {
    pub(crate) service: QueryService,
    pub(crate) captures: Captures,
    pub(crate) invalidates: Invalidates,
}

// === impl QueryEndpoint ===

impl QueryEndpoint {
    pub(crate) fn call(&self, request: Request<Body>) -> Answering {
        let path = self.captures.of(request.uri().path());
        let answer = self.service.answer(request, &path);
        if self.invalidates.groups.is_empty() {
            return answer;
        }
        let invalidates = self.invalidates.clone();
        Box::pin(async move { answer.await.map(|response| invalidates.after(response)) })
    }
}
