//! The future of a request that is decoded.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Reply};
use http::Response;
use pin_project_lite::pin_project;

use super::Unsupported;

pin_project! {
    /// The future of [`Decompress`](crate::Decompress).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct DecompressFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<F> {
        Inner { #[pin] future: F },
        Refused,
    }
}

// === impl DecompressFuture ===

impl<F> DecompressFuture<F> {
    pub(super) const fn inner(future: F) -> Self {
        Self { state: State::Inner { future } }
    }

    pub(super) const fn refused() -> Self {
        Self { state: State::Refused }
    }
}

impl<F, B, E> Future for DecompressFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future } => Poll::Ready(Ok(ready!(future.poll(cx))?.map(Body::new))),
            StateProjection::Refused => Poll::Ready(Ok(Unsupported::response())),
        }
    }
}

pin_project! {
    /// The future of [`Decompress`](crate::Decompress) as a handler.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct DecompressReplyFuture<F> {
        #[pin]
        state: State<F>,
    }
}

// === impl DecompressReplyFuture ===

impl<F> DecompressReplyFuture<F> {
    pub(super) const fn inner(future: F) -> Self {
        Self { state: State::Inner { future } }
    }

    pub(super) const fn refused() -> Self {
        Self { state: State::Refused }
    }
}

impl<F, E> Future for DecompressReplyFuture<F>
where
    F: Future<Output = Result<Reply, E>>,
{
    type Output = Result<Reply, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future } => future.poll(cx),
            StateProjection::Refused => Poll::Ready(Ok(Unsupported::response().into())),
        }
    }
}
