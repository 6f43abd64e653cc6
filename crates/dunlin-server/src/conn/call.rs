//! [`Call`]: one call of a service.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dunlin_http::{Body, BoxError, Reply};
use http::Request;
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

/// What became of a call.
pub(super) type Answer = Result<Result<Reply, BoxError>, Panic>;

// === impl Call ===

impl<F> Call<F> {
    pub(super) const fn new(request: Request<Body>) -> Self {
        Self::Waiting { request: Some(request) }
    }

    /// One whose request comes when it is first polled, so that it is not moved in between.
    pub(super) const fn begun() -> Self {
        Self::Waiting { request: None }
    }

    /// The service's answer or its error; or what it panicked with, which is not polled again.
    #[inline]
    pub(super) fn poll<S>(self: Pin<&mut Self>, service: &mut S, cx: &mut Context<'_>) -> Poll<Answer>
    where
        F: Future<Output = Result<S::Response, S::Error>>,
        S: Service<Request<Body>, Future = F>,
        S::Response: Into<Reply>,
        S::Error: Into<BoxError>,
    {
        self.poll_with(&mut None, service, cx)
    }

    /// Like [`poll`](Self::poll); takes the `request` of a call that was just begun.
    #[inline]
    pub(super) fn poll_with<S>(
        mut self: Pin<&mut Self>,
        request: &mut Option<Request<Body>>,
        service: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Answer>
    where
        F: Future<Output = Result<S::Response, S::Error>>,
        S: Service<Request<Body>, Future = F>,
        S::Response: Into<Reply>,
        S::Error: Into<BoxError>,
    {
        // What is as large as a response goes through as few hands as can be.
        let (mut reply, mut error) = (None, None);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            match ready!(self.as_mut().poll_unguarded(request, service, cx)) {
                Ok(own) => reply = Some(own.into()),
                Err(own) => error = Some(own),
            }
            Poll::Ready(())
        }));
        let answer = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => Ok(match error {
                Some(error) => Err(error.into()),
                None => Ok(reply.unwrap_or_default()),
            }),
            Err(panic) => Err(panic),
        };
        self.set(Self::Done);
        Poll::Ready(answer)
    }

    #[inline]
    fn poll_unguarded<S>(
        mut self: Pin<&mut Self>,
        first: &mut Option<Request<Body>>,
        service: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output>
    where
        F: Future<Output = Result<S::Response, S::Error>>,
        S: Service<Request<Body>, Future = F>,
    {
        loop {
            match self.as_mut().project() {
                CallProj::Running { future } => return future.poll(cx),
                CallProj::Waiting { request: kept } => {
                    let ready = service.poll_ready(cx)?;
                    let request = if first.is_some() { &mut *first } else { kept };
                    if ready.is_pending() {
                        let request = request.take();
                        self.set(Self::Waiting { request });
                        return Poll::Pending;
                    }
                    let Some(request) = request.take() else { return Poll::Pending };
                    let future = service.call(request);
                    self.set(Self::Running { future });
                }
                CallProj::Done => return Poll::Pending,
            }
        }
    }
}
