//! [`DecompressFuture`].

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use dunlin_http::Reply;
use pin_project_lite::pin_project;

use super::codings::Unsupported;

pin_project! {
    /// The future of [`Decompress`](crate::Decompress). It resolves to a [`Reply`].
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
        // The request has a coding that is not supported.
        Unsupported,
    }
}

// === impl DecompressFuture ===

impl<F> DecompressFuture<F> {
    pub(super) const fn inner(future: F) -> Self {
        Self { state: State::Inner { future } }
    }

    pub(super) const fn unsupported() -> Self {
        Self { state: State::Unsupported }
    }
}

impl<F, R, E> Future for DecompressFuture<F>
where
    F: Future<Output = Result<R, E>>,
    R: Into<Reply>,
{
    type Output = Result<Reply, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future } => future.poll(cx).map_ok(Into::into),
            StateProjection::Unsupported => Poll::Ready(Ok(Unsupported.into_response().into())),
        }
    }
}
