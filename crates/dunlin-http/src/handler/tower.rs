//! The adapters between [`Handler`] and tower's services.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Handler;
use crate::context::FromRequest;
use crate::{Body, BoxError, Context, Reply};

/// A [`Handler`] made of a [`Service`].
///
/// The service is cloned for each request, because tower's contract reserves readiness: only the
/// caller that polled a service ready may call it.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromTower<S>(pub S);

/// A [`Service`] made of a [`Handler`].
///
/// It is always ready, and returns a [`Response`]. It makes `C` from each request.
#[derive(Debug)]
pub struct ToTower<H, C = Context> {
    handler: H,
    context: PhantomData<fn() -> C>,
}

pin_project! {
    /// The future of a [`FromTower`]: the service becomes ready, then it responds.
    #[must_use = "futures do nothing unless polled"]
    pub struct ServiceFuture<S, F> {
        #[pin]
        state: CallState<S, F>,
    }
}

pin_project! {
    #[project = CallProjection]
    enum CallState<S, F> {
        // The service is not ready yet.
        Waiting { service: S, request: Option<Request<Body>> },
        Called { #[pin] future: F },
    }
}

// === impl FromTower ===

impl<S, C> Handler<C> for FromTower<S>
where
    S: Service<Request<Body>, Response: Into<Reply>, Future: Send + 'static> + Clone + Send + 'static,
{
    type Error = S::Error;
    type Future = ServiceFuture<S, S::Future>;

    fn handle(&self, request: Request<Body>, _: &C) -> Self::Future {
        let request = request.map(Body::with_tower_errors);
        ServiceFuture { state: CallState::Waiting { service: self.0.clone(), request: Some(request) } }
    }
}

impl<S> Future for ServiceFuture<S, S::Future>
where
    S: Service<Request<Body>, Response: Into<Reply>>,
{
    type Output = Result<Reply, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                CallProjection::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let Some(request) = request.take() else { return Poll::Pending };
                    let future = service.call(request);
                    state.set(CallState::Called { future });
                }
                CallProjection::Called { future } => return future.poll(cx).map_ok(Into::into),
            }
        }
    }
}

impl<S, F> std::fmt::Debug for ServiceFuture<S, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceFuture").finish_non_exhaustive()
    }
}

// === impl ToTower ===

impl<H, C> ToTower<H, C> {
    /// Makes a service of `handler`.
    #[must_use]
    pub const fn new(handler: H) -> Self {
        Self { handler, context: PhantomData }
    }
}

impl<H: Clone, C> Clone for ToTower<H, C> {
    fn clone(&self) -> Self {
        Self::new(self.handler.clone())
    }
}

impl<H, C, B> Service<Request<B>> for ToTower<H, C>
where
    H: Handler<C, Error: 'static>,
    C: FromRequest,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = H::Error;
    type Future = ResponseFuture<H::Future>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), H::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let context = C::from_request(&request);
        ResponseFuture { reply: self.handler.handle(request.map(Body::new), &context) }
    }
}

pin_project! {
    /// The future of a handler's reply as a [`Response`], with all fields.
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        reply: F,
    }
}

// === impl ResponseFuture ===

impl<F> ResponseFuture<F> {
    /// Makes the future of a response from the future of a reply.
    pub const fn new(reply: F) -> Self {
        Self { reply }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Reply, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.project().reply.poll(cx).map_ok(Reply::into_response)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Waker;

    use super::*;
    use crate::{PathParams, ReplyFuture};

    /// Responds with the parameter `name`.
    struct Greeter;

    impl Handler<Context> for Greeter {
        type Error = Infallible;
        type Future = ReplyFuture;

        fn handle(&self, _: Request<Body>, context: &Context) -> ReplyFuture {
            let name = context.params.get("name").unwrap_or_default().to_owned();
            ReplyFuture::ready(Response::new(Body::from(name)))
        }
    }

    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        std::pin::pin!(future).poll(&mut TaskContext::from_waker(Waker::noop()))
    }

    #[test]
    fn a_service_reads_its_context_from_the_request() {
        let mut request = Request::new(Body::empty());
        let mut params = PathParams::default();
        params.push("name".into(), "Ada".into());
        request.extensions_mut().insert(params);
        let mut service = ToTower::new(Greeter);
        let Poll::Ready(Ok(response)) = poll(service.call(request)) else { panic!("the future is pending") };
        assert_eq!(response.body().as_bytes(), Some(&b"Ada"[..]));
    }

    #[test]
    fn a_service_becomes_a_handler_and_keeps_its_error() {
        #[derive(Clone)]
        struct Fails;
        impl Service<Request<Body>> for Fails {
            type Response = Response<Body>;
            type Error = &'static str;
            type Future = std::future::Ready<Result<Response<Body>, &'static str>>;
            fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), &'static str>> {
                Poll::Ready(Ok(()))
            }
            fn call(&mut self, request: Request<Body>) -> Self::Future {
                std::future::ready(if request.uri().path() == "/" { Ok(Response::default()) } else { Err("no") })
            }
        }
        let status = |path: &str| {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            match poll(FromTower(Fails).handle(request, &())) {
                Poll::Ready(reply) => reply.map(|reply| reply.status().as_u16()),
                Poll::Pending => panic!("the future is pending"),
            }
        };
        assert_eq!((status("/"), status("/x")), (Ok(200), Err("no")));
    }
}
