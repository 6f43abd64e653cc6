//! [`Call`]: one call of a handler.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dunlin_http::{Body, BoxError, Handler, Reply};
use http::Request;
use pin_project_lite::pin_project;

use super::Exchange;

pin_project! {
    /// One call of a handler, and the memory for the next.
    #[project = CallProjection]
    #[derive(Debug, Default)]
    pub(super) enum Call<F> {
        #[default]
        Idle,
        Running { #[pin] future: F },
    }
}

/// The value of a handler's panic.
pub(super) type Panic = Box<dyn Any + Send>;

/// The outcome of a call: a reply, the handler's error, or its panic.
pub(super) type Outcome = Result<Result<Reply, BoxError>, Panic>;

// === impl Call ===

impl<F> Call<F> {
    /// Calls `handler`. Nothing runs after a panic.
    #[inline(always)]
    pub(super) fn begin<H>(
        self: Pin<&mut Self>,
        handler: &H,
        request: Request<Body>,
        exchange: &Exchange,
    ) -> Result<(), Panic>
    where
        H: Handler<Exchange, Future = F>,
    {
        // A request is large, so it is moved only once, into the handler.
        let (mut call, mut request) = (self, Some(request));
        catch_unwind(AssertUnwindSafe(|| {
            if let Some(request) = request.take() {
                let future = handler.handle(request, exchange);
                call.set(Self::Running { future });
            }
        }))
    }

    /// A call of `handler` that has begun.
    pub(super) fn begun<H>(handler: &H, request: Request<Body>, exchange: &Exchange) -> Result<Self, Panic>
    where
        H: Handler<Exchange, Future = F>,
    {
        catch_unwind(AssertUnwindSafe(|| Self::Running { future: handler.handle(request, exchange) }))
    }

    /// Polls the handler's future. It is dropped as soon as it is ready or has panicked.
    #[inline]
    pub(super) fn poll<E>(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome>
    where
        F: Future<Output = Result<Reply, E>>,
        E: Into<BoxError>,
    {
        let CallProjection::Running { future } = self.as_mut().project() else { return Poll::Pending };
        // A reply is large, so it is moved as little as possible.
        let (mut reply, mut error) = (None, None);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            match ready!(future.poll(cx)) {
                Ok(own) => reply = Some(own),
                Err(own) => error = Some(own),
            }
            Poll::Ready(())
        }));
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => Ok(match error {
                Some(error) => Err(error.into()),
                None => Ok(reply.unwrap_or_default()),
            }),
            Err(panic) => Err(panic),
        };
        self.set(Self::Idle);
        Poll::Ready(outcome)
    }
}
