//! `query` routes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use dunlin_http::Body;
use dunlin_pg::QueryService;
use http::{Request, Response};
use tower_service::Service;

use super::endpoint::Invalidates;
use super::path::Captures;

/// A declared query on this loop's pool.
#[derive(Debug)]
pub(crate) struct QueryEndpoint {
    pub(crate) service: QueryService,
    pub(crate) captures: Captures,
    pub(crate) invalidates: Invalidates,
}

pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

// === impl QueryEndpoint ===

impl QueryEndpoint {
    pub(crate) fn call(&self, mut request: Request<Body>) -> Answering {
        if !self.captures.is_empty() {
            let params = self.captures.of(request.uri().path());
            request.extensions_mut().insert(params);
        }
        let answer = self.service.clone().call(request);
        if self.invalidates.groups.is_empty() {
            return answer;
        }
        let invalidates = self.invalidates.clone();
        Box::pin(async move { answer.await.map(|response| invalidates.after(response)) })
    }
}
