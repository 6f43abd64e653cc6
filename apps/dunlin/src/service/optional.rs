//! [`Optional`]: a handler with or without a layer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use dunlin_http::{Body, Handler, Reply};
use http::Request;
use pin_project_lite::pin_project;

/// A handler with a layer, or without it.
///
/// An enum, so that a route pays for its own layers alone, and for no pointer to them.
pub(super) enum Optional<L, H> {
    With(L),
    Without(H),
}

pin_project! {
    /// The future of an [`Optional`].
    #[project = Projection]
    pub(super) enum OptionalFuture<L, H> {
        With { #[pin] future: L },
        Without { #[pin] future: H },
    }
}

// === impl Optional ===

impl<C, L, H> Handler<C> for Optional<L, H>
where
    L: Handler<C>,
    H: Handler<C, Error = L::Error>,
{
    type Error = L::Error;
    type Future = OptionalFuture<L::Future, H::Future>;

    #[inline]
    fn handle(&self, request: Request<Body>, context: &C) -> Self::Future {
        match self {
            Self::With(layer) => OptionalFuture::With { future: layer.handle(request, context) },
            Self::Without(handler) => OptionalFuture::Without { future: handler.handle(request, context) },
        }
    }
}

// === impl OptionalFuture ===

impl<L, H, E> Future for OptionalFuture<L, H>
where
    L: Future<Output = Result<Reply, E>>,
    H: Future<Output = Result<Reply, E>>,
{
    type Output = Result<Reply, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projection::With { future } => future.poll(cx),
            Projection::Without { future } => future.poll(cx),
        }
    }
}
