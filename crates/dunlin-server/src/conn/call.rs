//! [`Call`]: one call of a service.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BoxError};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// One call of a service, and the memory for the next.
    #[project = CallProj]
    #[derive(Debug)]
    pub(super) enum Call<F> {
        /// The service is not ready yet.
        Waiting { request: Option<Request<Body>> },
        Running { #[pin] future: F },
        Done,
    }
}

/// What a service panicked with.
pub(super) type Panic = Box<dyn Any + Send>;

// === impl Call ===

impl<F> Call<F> {
    pub(super) const fn new(request: Request<Body>) -> Self {
        Self::Waiting { request: Some(request) }
    }

    /// The service's response or its error; or what it panicked with, which is not polled again.
    #[inline]
    pub(super) fn poll<S, B>(
        mut self: Pin<&mut Self>,
        service: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Response<Body>, BoxError>, Panic>>
    where
        F: Future<Output = Result<Response<B>, S::Error>>,
        S: Service<Request<Body>, Response = Response<B>, Future = F>,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let polled = catch_unwind(AssertUnwindSafe(|| self.as_mut().poll_unguarded(service, cx)));
        let done = match polled {
            Ok(polled) => Ok(ready!(polled).map(|response| response.map(Body::new)).map_err(Into::into)),
            Err(panic) => Err(panic),
        };
        self.set(Self::Done);
        Poll::Ready(done)
    }

    #[inline]
    fn poll_unguarded<S>(mut self: Pin<&mut Self>, service: &mut S, cx: &mut Context<'_>) -> Poll<F::Output>
    where
        F: Future<Output = Result<S::Response, S::Error>>,
        S: Service<Request<Body>, Future = F>,
    {
        loop {
            match self.as_mut().project() {
                CallProj::Running { future } => return future.poll(cx),
                CallProj::Waiting { request } => {
                    ready!(service.poll_ready(cx))?;
                    let future = service.call(request.take().unwrap_or_default());
                    self.set(Self::Running { future });
                }
                CallProj::Done => return Poll::Pending,
            }
        }
    }
}
