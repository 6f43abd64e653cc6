//! What stands at the end of a route: one of text, files, query, fetch, proxy.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dunlin_cache::Cache;
use dunlin_compress::Decompress;
use dunlin_fetch::{FetchService, Proxy};
use dunlin_http::Body;
use dunlin_pg::Answering;
use dunlin_static::Files;
use http::{Request, Response, Uri};
use tower_service::Service;

use super::path::Tail;
use super::query::QueryEndpoint;
use super::text::TextEndpoint;

/// The end of a route. To clone it is to count one reference.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    Text(Arc<TextEndpoint>),
    Files(Arc<FilesEndpoint>),
    Query(Arc<QueryEndpoint>),
    Fetch(FetchService),
    Proxy(Arc<ProxyEndpoint>),
    /// One of the others, that gets the bodies of its requests decoded.
    Decoded(Box<Decompress<Endpoint>>),
}

/// Files below what a route matched.
#[derive(Debug)]
pub(crate) struct FilesEndpoint {
    pub(crate) files: Files,
    pub(crate) tail: Tail,
}

/// An upstream, and what becomes old when it has changed something.
#[derive(Debug)]
pub(crate) struct ProxyEndpoint {
    pub(crate) proxy: Proxy,
    pub(crate) tail: Tail,
    pub(crate) invalidates: Invalidates,
}

/// The groups that a success invalidates.
#[derive(Clone, Debug)]
pub(crate) struct Invalidates {
    pub(crate) cache: Cache,
    pub(crate) groups: Arc<[String]>,
}

/// The answer of an [`Endpoint`].
pub(crate) enum EndpointFuture {
    Ready(Option<Response<Body>>),
    Files(dunlin_static::Respond),
    /// What waits for another machine can afford a box.
    Away(Answering),
}

// === impl Endpoint ===

impl Service<Request<Body>> for Endpoint {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = EndpointFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> EndpointFuture {
        self.answer(request)
    }
}

impl Endpoint {
    /// Answers one request; whoever has only a reference need not clone.
    pub(crate) fn answer(&self, request: Request<Body>) -> EndpointFuture {
        match self {
            Self::Text(text) => EndpointFuture::Ready(Some(text.respond(request.method(), request.headers()))),
            Self::Files(files) => {
                let target = files.tail.of(request.uri());
                EndpointFuture::Files(files.files.respond(request.method(), request.headers(), target))
            }
            Self::Query(query) => EndpointFuture::Away(query.call(request)),
            Self::Fetch(fetch) => {
                let fetch = fetch.clone();
                EndpointFuture::Away(Box::pin(async move { Ok(fetch.respond().await) }))
            }
            Self::Proxy(proxy) => EndpointFuture::Away(proxy.forward(request)),
            Self::Decoded(decoded) => EndpointFuture::Away(Box::pin(decoded.clone().call(request))),
        }
    }
}

// === impl ProxyEndpoint ===

impl ProxyEndpoint {
    fn forward(&self, request: Request<Body>) -> Answering {
        let writes = !self.invalidates.groups.is_empty() && !request.method().is_safe();
        let invalidates = writes.then(|| self.invalidates.clone());
        // The target borrows the request, which goes away; a URI is a count of references.
        let uri: Uri = request.uri().clone();
        let answer = self.proxy.forward(request, self.tail.of(&uri));
        match invalidates {
            None => Box::pin(async move { Ok(answer.await) }),
            Some(invalidates) => Box::pin(async move { Ok(invalidates.after(answer.await)) }),
        }
    }
}

// === impl Invalidates ===

impl Invalidates {
    /// Invalidates if the answer is a success, before the client learns of it.
    pub(crate) fn after(&self, response: Response<Body>) -> Response<Body> {
        if !self.groups.is_empty() && (response.status().is_success() || response.status().is_redirection()) {
            self.cache.invalidate_groups(&self.groups);
        }
        response
    }
}

// === impl EndpointFuture ===

impl Future for EndpointFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            // Polled again after it was ready, against the contract of futures: it stays pending.
            Self::Ready(response) => response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            Self::Files(files) => Pin::new(files).poll(cx).map(Ok),
            Self::Away(away) => away.as_mut().poll(cx),
        }
    }
}
