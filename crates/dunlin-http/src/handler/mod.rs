//! [`Handler`]: the interface of all handlers and layers.

mod tower;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;

use crate::{Body, Reply};

pub use tower::{FromTower, ResponseFuture, ServiceFuture, ToTower};

/// Responds to requests, through a shared reference.
///
/// A handler is not cloned for a request, and is always ready. `C` contains the facts about a
/// request that are not in its message: [`Context`](crate::Context) in a whole service, or `()` for
/// none. A layer is generic over `C` and passes it on.
///
/// The future borrows neither the handler nor the context. The error of a handler that cannot fail
/// is [`Infallible`]. A layer passes on the error of its inner handler.
///
/// [`FromTower`] turns a [`tower_service::Service`] into a handler, and [`ToTower`] does the
/// reverse.
///
/// ```
/// use dunlin_http::{Body, Handler, ReplyFuture};
/// use http::{Request, Response};
///
/// struct Hello;
///
/// impl<C> Handler<C> for Hello {
///     type Error = std::convert::Infallible;
///     type Future = ReplyFuture;
///
///     fn handle(&self, _: Request<Body>, _: &C) -> ReplyFuture {
///         ReplyFuture::ready(Response::new(Body::from("Hello, World!")))
///     }
/// }
///
/// let reply = Hello.handle(Request::new(Body::empty()), &()).take_ready().unwrap();
/// assert_eq!(reply.body().as_bytes(), Some(&b"Hello, World!"[..]));
/// ```
pub trait Handler<C> {
    /// The reason why there is no reply. A server then closes the connection or resets the stream.
    type Error;

    /// The future of the reply.
    type Future: Future<Output = Result<Reply, Self::Error>> + Send + 'static;

    /// Responds to `request`.
    fn handle(&self, request: Request<Body>, context: &C) -> Self::Future;
}

/// A handler of any type, for example the one of a route.
pub type SharedHandler<C> = Arc<dyn Handler<C, Error = Infallible, Future = ReplyFuture> + Send + Sync>;

/// A reply that is ready, or the boxed future of one.
///
/// A reply that is ready needs no allocation.
#[must_use = "futures do nothing unless polled"]
pub struct ReplyFuture<E = Infallible>(State<E>);

enum State<E> {
    Ready(Option<Reply>),
    Waiting(Pin<Box<dyn Future<Output = Result<Reply, E>> + Send>>),
}

pin_project! {
    /// The future of a response, as one of a reply. An async block would move the future once more.
    struct IntoReply<F, E> {
        #[pin]
        future: F,
        error: PhantomData<fn() -> E>,
    }
}

// === impl Handler ===

impl<C, H: Handler<C> + ?Sized> Handler<C> for Arc<H> {
    type Error = H::Error;
    type Future = H::Future;

    fn handle(&self, request: Request<Body>, context: &C) -> H::Future {
        (**self).handle(request, context)
    }
}

// === impl ReplyFuture ===

impl<E> ReplyFuture<E> {
    /// Makes the future of a reply that is ready.
    pub fn ready(reply: impl Into<Reply>) -> Self {
        Self(State::Ready(Some(reply.into())))
    }

    /// Boxes the future of a reply.
    pub fn boxed(future: impl Future<Output = Result<Reply, E>> + Send + 'static) -> Self {
        Self(State::Waiting(Box::pin(future)))
    }

    /// Boxes the future of a response that cannot fail.
    pub fn response(future: impl Future<Output = Response<Body>> + Send + 'static) -> Self
    where
        E: 'static,
    {
        Self::boxed(IntoReply { future, error: PhantomData })
    }

    /// Takes the reply if it is ready. The future is pending from then on.
    pub fn take_ready(&mut self) -> Option<Reply> {
        match &mut self.0 {
            State::Ready(reply) => reply.take(),
            State::Waiting(_) => None,
        }
    }

    /// Changes the reply, at once if it is ready.
    pub fn map(mut self, change: impl FnOnce(Reply) -> Reply + Send + 'static) -> Self
    where
        E: 'static,
    {
        match self.take_ready() {
            Some(reply) => Self::ready(change(reply)),
            None => Self::boxed(async move { self.await.map(change) }),
        }
    }
}

impl<E> Future for ReplyFuture<E> {
    type Output = Result<Reply, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // A poll after completion breaks the contract of futures. It stays pending.
            State::Ready(reply) => reply.take().map_or(Poll::Pending, |reply| Poll::Ready(Ok(reply))),
            State::Waiting(future) => future.as_mut().poll(cx),
        }
    }
}

// === impl IntoReply ===

impl<F: Future<Output = Response<Body>>, E> Future for IntoReply<F, E> {
    type Output = Result<Reply, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map(|response| Ok(Reply::Response(response)))
    }
}

impl<E> fmt::Debug for ReplyFuture<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0 {
            State::Ready(_) => "Ready",
            State::Waiting(_) => "Waiting",
        };
        f.debug_tuple("ReplyFuture").field(&state).finish()
    }
}
