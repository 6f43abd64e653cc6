//! The layers of a route: Compress outside of Cache outside of the endpoint, and only those that it asked for.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dunlin_cache::CacheService;
use dunlin_compress::Compress;
use dunlin_http::{Body, Reply};
use http::Request;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::endpoint::Endpoint;

/// What a request goes through once its route is known. An enum, so that a route pays for its own layers alone, and for
/// no pointer to them.
#[derive(Clone)]
pub(crate) enum Stack {
    Plain(Endpoint),
    Compressed(Compress<Endpoint>),
    Cached(CacheService<Endpoint>),
    Full(Compress<CacheService<Endpoint>>),
}

pin_project! {
    #[project = Project]
    pub(crate) enum StackFuture {
        Plain { #[pin] future: Plain },
        Compressed { #[pin] future: dunlin_compress::ReplyFuture<Plain> },
        Cached { #[pin] future: Kept },
        Full { #[pin] future: dunlin_compress::ReplyFuture<Kept> },
    }
}

type Plain = <Endpoint as Service<Request<Body>>>::Future;
type Kept = dunlin_cache::ReplyFuture<Infallible>;

// === impl Stack ===

impl Stack {
    /// Answers one request, without a clone of the layers: the counts of what all loops share would be contended for. `tell` adds to
    /// the request what only the endpoint needs to know.
    pub(crate) fn call(&self, mut request: Request<Body>, tell: impl FnOnce(&mut Request<Body>)) -> StackFuture {
        match self {
            Self::Plain(endpoint) => {
                tell(&mut request);
                StackFuture::Plain { future: endpoint.answer(request) }
            }
            Self::Compressed(service) => {
                tell(&mut request);
                StackFuture::Compressed { future: service.reply(request, Endpoint::answer) }
            }
            Self::Cached(service) => StackFuture::Cached { future: service.reply(request, tell) },
            Self::Full(service) => {
                StackFuture::Full { future: service.reply(request, |cache, request| cache.reply(request, tell)) }
            }
        }
    }
}

// === impl StackFuture ===

impl Future for StackFuture {
    type Output = Result<Reply, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Project::Plain { future } => Poll::Ready(Ok(Reply::Response(ready!(future.poll(cx))?))),
            Project::Compressed { future } => future.poll(cx),
            Project::Cached { future } => future.poll(cx),
            Project::Full { future } => future.poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_under_way_is_small() {
        // It is moved a few times on its way to the connection that polls it.
        let sizes = [
            size_of::<Plain>(),
            size_of::<dunlin_compress::ReplyFuture<Plain>>(),
            size_of::<Kept>(),
            size_of::<StackFuture>(),
        ];
        assert!(sizes[3] <= 256, "{sizes:?}");
    }
}
