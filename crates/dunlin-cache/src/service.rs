//! [`CacheService`]: the cache in front of a service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Interim};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use pin_project_lite::pin_project;
use tokio::sync::{oneshot, watch};
use tower_service::Service;

use crate::config::RoutePolicy;
use crate::core::{Core, Miss, Phase, Revalidate};
use crate::fill::{self, Fill, Own};
use crate::flights::{Lead, Manner, Outcome, Role};
use crate::pass::Pass;
use crate::serve::{self, For};
use crate::status::CacheStatus;

/// The cache in front of a service; see [`Cache::layer`](crate::Cache::layer).
///
/// It answers from what is stored without a word to the inner service, and asks that otherwise. The inner service may be called
/// from a task of its own, on the runtime that the request came in on.
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
        state: State<E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<E> {
        Ready { response: Option<Response<Body>> },
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
        respond(core, policy, request, || {
            let clone = inner.clone();
            std::mem::replace(inner, clone)
        })
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
    /// As [`Service::call`], for an owner that has only a reference: the inner service is cloned when it is asked, and not for
    /// a hit.
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
        respond(&self.core, &self.policy, request, || self.inner.clone())
    }
}

/// Answers a request. When the inner service is needed, `inner` gives one.
fn respond<S, B, R>(
    core: &Arc<Core>,
    policy: &Arc<RoutePolicy>,
    request: Request<B>,
    inner: impl FnOnce() -> S,
) -> ResponseFuture<S::Error>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let pass = || Pass { core: Arc::clone(core), policy: Arc::clone(policy), service: inner() };
    let counters = &core.counters;
    let state = match core.begin(&parts, body.is_end_stream(), policy) {
        Phase::Hit(hit) => {
            counters.hits.add();
            if let Some(stale) = hit.refresh {
                counters.stale.add();
                refresh(pass(), &parts, *stale);
            }
            State::Ready { response: Some(hit.response) }
        }
        Phase::OnlyIfCached(response) => State::Ready { response: Some(response) },
        Phase::Bypass(reason) => {
            counters.bypassed.add();
            let request = Request::from_parts(parts, Body::new(body));
            State::Asking { asking: Box::pin(pass().bypass(request, reason)) }
        }
        Phase::Revalidate(stale) => {
            counters.misses.add();
            State::Asking { asking: Box::pin(Ask(pass()).revalidate(parts, *stale)) }
        }
        Phase::Miss(miss) => {
            counters.misses.add();
            State::Asking { asking: Box::pin(Ask(pass()).miss(parts, *miss)) }
        }
    };
    ResponseFuture { state }
}

/// Validates what is stale while it is used, unless somebody does already.
fn refresh<S, R>(pass: Pass<S>, parts: &Parts, stale: Revalidate)
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let Pass { core, policy, service } = pass;
    if let Role::Leader(lead) = core.flights.join(stale.key.flight, &stale.key.slots, &core.generations) {
        let mut request = fill::whole_request(parts);
        // The one who asked is answered already.
        request.extensions.remove::<Interim>();
        let fill = Fill {
            core,
            policy,
            service,
            request,
            key: stale.key,
            stored: Some(stale.stored),
            why: stale.why,
            asked: stale.asked,
            stood: None,
        };
        tokio::spawn(fill.run(lead, None));
    }
}

/// A request for which the origin is asked.
struct Ask<S>(Pass<S>);

impl<S, R> Ask<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    async fn revalidate(self, parts: Parts, stale: Revalidate) -> Result<Response<Body>, S::Error> {
        if parts.method == Method::HEAD {
            // §4.3.5: what comes tells whether the stored answer to a GET is still good.
            return self.0.head(parts, stale.key, Some(stale.stored), stale.why, stale.asked).await;
        }
        let fill = (stale.key, Some(stale.stored), stale.why, stale.asked);
        self.collapsed(parts, fill).await
    }

    async fn miss(self, parts: Parts, miss: Miss) -> Result<Response<Body>, S::Error> {
        if parts.method == Method::HEAD {
            return self.0.head(parts, miss.key, None, miss.why, miss.asked).await;
        }
        if Core::asks_for_part(&parts) {
            return self.0.part(parts, miss.key, miss.part, miss.why).await;
        }
        if let Some(part) = miss.part {
            return self.0.complete(parts, miss.key, part, miss.why).await;
        }
        let now = self.0.core.clock.now();
        if self.0.core.lonely.has(miss.key.hash, now) {
            return self.0.alone(parts, &miss.key, miss.why, None).await;
        }
        self.collapsed(parts, (miss.key, None, miss.why, miss.asked)).await
    }

    /// Asks together with all others who ask for the same.
    async fn collapsed(self, parts: Parts, fill: FillOf) -> Result<Response<Body>, S::Error> {
        let (mut key, stored, why, asked) = fill;
        let core = Arc::clone(&self.0.core);
        // What is waited for may turn out to be another variant; then it is known what they vary by.
        for _ in 0..2 {
            let mut unshared = None;
            let (outcome, collapsed) = match core.flights.join(key.flight, &key.slots, &core.generations) {
                Role::Leader(lead) => {
                    let fill = Fill {
                        core: Arc::clone(&core),
                        policy: Arc::clone(&self.0.policy),
                        service: self.0.service.clone(),
                        request: fill::whole_request(&parts),
                        key: key.clone(),
                        stored: stored.clone(),
                        why,
                        asked,
                        stood: None,
                    };
                    match lead_fill(fill, lead).await {
                        Led::Shared(outcome, fields) => {
                            unshared = fields;
                            (outcome, false)
                        }
                        Led::Own(response) => return response,
                    }
                }
                Role::Waiter(waiter) => match tokio::time::timeout(core.config.lock_timeout, told(waiter)).await {
                    Ok(outcome) => (outcome, true),
                    Err(_) => return self.0.alone(parts, &key, why, Some("lock-timeout")).await,
                },
            };
            match answer(&core, &parts, &outcome, collapsed) {
                Ok(mut response) => {
                    response.headers_mut().extend(unshared.unwrap_or_default());
                    return Ok(response);
                }
                Err(Some(variant)) => key.flight = key.hash.0 ^ u128::from(variant),
                Err(None) => break,
            }
        }
        self.0.alone(parts, &key, why, None).await
    }
}

type FillOf = (
    crate::core::Key,
    Option<Arc<crate::entry::Entry>>,
    crate::status::Forward,
    dunlin_http::cache_control::RequestDirectives,
);

/// What a fill came to for the one who began it.
enum Led<E> {
    /// What is for all, with the fields that are for this one alone.
    Shared(Outcome, Option<HeaderMap>),
    /// What is for this one alone.
    Own(Result<Response<Body>, E>),
}

/// Makes a fill in a task of its own, so that it goes on if we leave, and waits for what it comes to.
async fn lead_fill<S, R>(fill: Fill<S>, lead: Lead) -> Led<S::Error>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let outcome = lead.watch();
    let (own, mine) = oneshot::channel();
    tokio::spawn(fill.run(lead, Some(own)));
    match mine.await {
        Ok(Own::Response(response)) => Led::Own(Ok(response)),
        Ok(Own::Error(error)) => Led::Own(Err(error)),
        Ok(Own::Fields(fields)) => Led::Shared(told(outcome).await, Some(fields)),
        Err(_) => Led::Shared(told(outcome).await, None),
    }
}

/// What a fill comes to.
async fn told(mut outcome: watch::Receiver<Option<Outcome>>) -> Outcome {
    let told = outcome.wait_for(Option::is_some).await;
    told.ok().and_then(|told| told.clone()).unwrap_or(Outcome::Alone)
}

/// The answer to one request from what a fill came to. `Err` when there is none: with what the variants are told by, or alone.
fn answer(core: &Core, parts: &Parts, outcome: &Outcome, collapsed: bool) -> Result<Response<Body>, Option<u64>> {
    let (head, manner) = match outcome {
        Outcome::Entry(entry, manner) => (&entry.head, *manner),
        Outcome::Live(live, manner) => (&live.head, *manner),
        Outcome::Alone => return Err(None),
    };
    if collapsed {
        let allowed = crate::policy::s4_1_key::selects(&head.selecting, &head.headers, &parts.headers);
        if !allowed {
            return Err(Some(core.variant(&head.selecting, &parts.headers)));
        }
    }
    let request = For {
        method: &parts.method,
        headers: &parts.headers,
        plain: false,
        now: core.clock.now(),
        name: &core.config.name,
    };
    let Manner { forward, status, stored, detail } = manner;
    // What came from the second level was not asked of the origin by anybody.
    let hit = forward.is_none();
    let collapsed = collapsed && !hit;
    let status =
        CacheStatus { hit, forward, forward_status: status, stored, collapsed, detail, ..CacheStatus::default() };
    let response = match outcome {
        Outcome::Entry(entry, _) => serve::entry(entry, request, status),
        Outcome::Live(live, _) => serve::live(live, request, status),
        Outcome::Alone => None,
    };
    if collapsed && response.is_some() {
        core.counters.collapsed.add();
    }
    response.ok_or(None)
}

// === impl ResponseFuture ===

impl<E> Future for ResponseFuture<E> {
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Ready { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                // Polled after it was ready: there is nothing more to come.
                None => Poll::Pending,
            },
            StateProjection::Asking { asking } => asking.as_mut().poll(cx),
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
