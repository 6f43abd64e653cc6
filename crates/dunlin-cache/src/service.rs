//! [`CacheService`]: the cache in front of a service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Interim, Reply, hop_by_hop};
use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::ask::Ask;
use crate::config::RoutePolicy;
use crate::core::{Core, Phase, Revalidate};
use crate::fill::{self, Fill};
use crate::flights::Role;
use crate::pass::Pass;

/// The cache in front of a service; see [`Cache::layer`](crate::Cache::layer).
///
/// It answers from what is stored without a word to the inner service, and asks that otherwise. The
/// inner service may be called from a task of its own, on the runtime that the request came in on.
#[derive(Clone)]
pub struct CacheService<S> {
    inner: S,
    core: Arc<Core>,
    policy: Arc<RoutePolicy>,
}

pin_project! {
    /// The answer of a [`CacheService`].
    pub struct ResponseFuture<E> {
        #[pin]
        reply: ReplyFuture<E>,
    }
}

pin_project! {
    /// The answer of a [`CacheService`], ready to be sent if it can be; see
    /// [`CacheService::reply`].
    pub struct ReplyFuture<E> {
        #[pin]
        state: State<E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<E> {
        Ready { reply: Option<Reply> },
        Asking { asking: Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>> },
    }
}

// === impl CacheService ===

impl<S> CacheService<S> {
    pub(crate) fn new(inner: S, core: Arc<Core>, policy: Arc<RoutePolicy>) -> Self {
        Self { inner, core, policy }
    }
}

impl<S, B, R> Service<Request<B>> for CacheService<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, core, policy } = self;
        // The one that is ready goes, with a clone left in its place.
        let inner = || {
            let clone = inner.clone();
            std::mem::replace(inner, clone)
        };
        ResponseFuture { reply: respond(core, policy, request, inner, |_| {}) }
    }
}

impl<S, R> CacheService<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    /// As [`Service::call`], for an owner that has only a reference: the inner service is cloned
    /// when it is asked, and not for a hit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {dunlin_cache::{Cache, Config, RoutePolicy}, dunlin_http::Body, http::{Request, Response}, tower::Layer};
    /// let handler = tower::service_fn(async |_: Request<Body>| {
    ///     let response = Response::builder().header("cache-control", "max-age=60");
    ///     response.body(Body::from("hello"))
    /// });
    /// let service = Cache::new(Config::default()).layer(RoutePolicy::default()).layer(handler);
    /// for status in ["dunlin; fwd=uri-miss; fwd-status=200; ttl=60; stored", "dunlin; hit; ttl=60"] {
    ///     let response = service.answer(Request::new(Body::empty())).await?;
    ///     assert_eq!(response.headers()["cache-status"], status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn answer<B>(&self, request: Request<B>) -> ResponseFuture<S::Error>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        ResponseFuture { reply: self.reply(request, |_| {}) }
    }

    /// As [`CacheService::answer`], for an owner that hands the answer to a server, or to a layer
    /// that knows what a [`Reply`] is: a plain hit comes with its head as it was written when it
    /// was stored.
    ///
    /// Where the inner service has to be told more than the cache, `tell` adds it to the request,
    /// before this returns, if the inner service is asked. So a hit does not pay for it.
    pub fn reply<B>(&self, request: Request<B>, tell: impl FnOnce(&mut Request<Body>)) -> ReplyFuture<S::Error>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        respond(&self.core, &self.policy, request, || self.inner.clone(), tell)
    }
}

impl<S> CacheService<S> {
    /// Answers a request. `inner` makes the service that is asked if no stored response is used.
    pub(crate) fn reply_by<T>(&self, request: Request<Body>, inner: impl FnOnce(&S) -> T) -> ReplyFuture<T::Error>
    where
        T: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
        T::Future: Send,
        T::Error: Send,
    {
        respond(&self.core, &self.policy, request, || inner(&self.inner), |_| {})
    }
}

/// Answers a request. When the inner service is needed, `inner` gives one, and `tell` tells it of
/// the request what the cache need not know.
fn respond<S, B, R>(
    core: &Arc<Core>,
    policy: &Arc<RoutePolicy>,
    request: Request<B>,
    inner: impl FnOnce() -> S,
    tell: impl FnOnce(&mut Request<Body>),
) -> ReplyFuture<S::Error>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let (mut parts, body) = request.into_parts();
    // RFC 9110 §7.6.1: the origin will not see them, so they must not select a stored response.
    hop_by_hop::remove_named(&mut parts.headers);
    let counters = &core.counters;
    let phase = core.begin(&parts, body.is_end_stream(), policy);
    let goes_on = |parts, body| {
        let mut request = Request::from_parts(parts, body);
        tell(&mut request);
        (request, Pass { core: Arc::clone(core), policy: Arc::clone(policy), service: inner() })
    };
    match phase {
        Phase::Hit(reply) => {
            counters.hits.add();
            ReplyFuture::ready(reply)
        }
        Phase::Stale(reply, stale) => {
            counters.hits.add();
            counters.stale.add();
            let (request, pass) = goes_on(fill::whole_request(&parts), Body::empty());
            refresh(pass, request.into_parts().0, *stale);
            ReplyFuture::ready(reply)
        }
        Phase::OnlyIfCached(response) => ReplyFuture::ready(Reply::Response(response)),
        Phase::Bypass(reason) => {
            counters.bypassed.add();
            let (request, pass) = goes_on(parts, Body::new(body));
            ReplyFuture::asking(pass.bypass(request, reason))
        }
        Phase::Revalidate(stale) => {
            counters.misses.add();
            let (request, pass) = goes_on(parts, Body::empty());
            ReplyFuture::asking(Ask(pass).revalidate(request.into_parts().0, *stale))
        }
        Phase::Miss(miss) => {
            counters.misses.add();
            let (request, pass) = goes_on(parts, Body::empty());
            ReplyFuture::asking(Ask(pass).miss(request.into_parts().0, *miss))
        }
    }
}

/// Validates what is stale while it is used, unless somebody does already.
fn refresh<S, R>(pass: Pass<S>, mut request: Parts, stale: Revalidate)
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let Pass { core, policy, service } = pass;
    if let Role::Leader(lead) = core.flights.join(stale.key.flight, &stale.key.slots, &core.generations) {
        // The one who asked is answered already.
        request.extensions.remove::<Interim>();
        let Revalidate { key, stored, why, asked } = stale;
        let fill = Fill { core, policy, service, request, key, stored: Some(stored), why, asked, stood: None };
        tokio::spawn(fill.run(lead, None));
    }
}

// === impl ResponseFuture ===

impl<E> Future for ResponseFuture<E> {
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().reply.poll(cx).map_ok(Reply::into_response)
    }
}

// === impl ReplyFuture ===

impl<E> ReplyFuture<E> {
    fn ready(reply: Reply) -> Self {
        Self { state: State::Ready { reply: Some(reply) } }
    }

    fn asking(asking: impl Future<Output = Result<Response<Body>, E>> + Send + 'static) -> Self {
        Self { state: State::Asking { asking: Box::pin(asking) } }
    }
}

impl<E> Future for ReplyFuture<E> {
    type Output = Result<Reply, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Ready { reply } => match reply.take() {
                Some(reply) => Poll::Ready(Ok(reply)),
                // Polled after it was ready: there is nothing more to come.
                None => Poll::Pending,
            },
            StateProjection::Asking { asking } => asking.as_mut().poll(cx).map_ok(Reply::Response),
        }
    }
}

impl<S> std::fmt::Debug for CacheService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheService").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<E> std::fmt::Debug for ResponseFuture<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<E> std::fmt::Debug for ReplyFuture<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyFuture").finish_non_exhaustive()
    }
}
