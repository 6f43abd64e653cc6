//! [`CacheService`]: the cache in front of a handler or a tower service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use dunlin_http::{
    Body, BoxError, ClientContext, FromRequest, FromTower, Handler, Identity, Interim, Reply, ReplyFuture,
    ResponseFuture, hop_by_hop,
};
use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;

use crate::collapsed_fetch::CollapsedFetch;
use crate::config::RoutePolicy;
use crate::core::Core;
use crate::fill::Fill;
use crate::flights::Role;
use crate::forward::whole_request;
use crate::lookup::{Decision, Revalidation};
use crate::origin_call::OriginCall;
use crate::policy::client::Client;
use crate::request::RequestHead;

/// The cache in front of a handler or a tower service; see [`Cache::layer`](crate::Cache::layer).
///
/// As a [`Handler`] it answers hits at once, without a clone of the inner handler. As a tower
/// [`Service`] it is always ready: the inner service becomes ready when it is called. A fill calls
/// the inner handler on a task of its own, on the runtime of the request.
#[derive(Clone)]
pub struct CacheService<S> {
    inner: S,
    core: Arc<Core>,
    policy: Arc<RoutePolicy>,
}

/// The context of a request to a tower service: its extensions stay in the request, so only the
/// identity is needed here.
#[derive(Clone, Debug, Default)]
struct TowerContext {
    identity: Option<Arc<Identity>>,
}

// === impl CacheService ===

impl<S> CacheService<S> {
    pub(crate) fn new(inner: S, core: Arc<Core>, policy: Arc<RoutePolicy>) -> Self {
        Self { inner, core, policy }
    }

    /// Decides how a request is answered.
    fn decide<B: http_body::Body>(&self, request: &mut Request<B>, context: &impl ClientContext) -> Decision {
        // RFC 9110 §7.6.1: the origin does not get these fields, so they must select no response.
        hop_by_hop::remove_named(request.headers_mut());
        let client = Client::of(context.identity(), &self.policy);
        let empty = request.body().is_end_stream();
        self.core.look_up(&RequestHead::of(request, client), empty, &self.policy)
    }

    fn hit<E>(&self, reply: Reply) -> ReplyFuture<E> {
        self.core.counters.hits.increment();
        ReplyFuture::ready(reply)
    }

    /// Answers a request that is not a plain hit. `handler` makes the handler of a request that is
    /// forwarded. It is a function of its own, so that a hit does not move the request.
    #[inline(never)]
    fn respond_slowly<B, H, C>(
        &self,
        request: Request<B>,
        context: &C,
        handler: impl FnOnce(&S) -> H,
        decision: Decision,
    ) -> ReplyFuture<H::Error>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
        H: Handler<C, Error: Send> + Clone + Send + 'static,
        C: ClientContext + Clone + Send + 'static,
    {
        let Self { inner, core, policy } = self;
        let counters = &core.counters;
        let origin = |context| OriginCall {
            core: Arc::clone(core),
            policy: Arc::clone(policy),
            handler: handler(inner),
            context,
        };
        match decision {
            Decision::Hit(reply) => self.hit(reply),
            Decision::StaleHit(reply, revalidation) => {
                counters.hits.increment();
                counters.stale.increment();
                let parts = whole_request(&request.into_parts().0);
                revalidate_in_background(origin(context.for_background()), parts, *revalidation);
                ReplyFuture::ready(reply)
            }
            Decision::OnlyIfCached(response) => ReplyFuture::ready(Reply::Response(response)),
            Decision::Bypass(reason) => {
                counters.bypassed.increment();
                boxed(origin(context.clone()).bypass(request.map(Body::new), reason))
            }
            Decision::Revalidate(revalidation) => {
                counters.misses.increment();
                let fetch = CollapsedFetch(origin(context.clone()));
                boxed(fetch.revalidate(request.into_parts().0, *revalidation))
            }
            Decision::Miss(miss) => {
                counters.misses.increment();
                let fetch = CollapsedFetch(origin(context.clone()));
                boxed(fetch.miss(request.into_parts().0, *miss))
            }
        }
    }
}

impl<H, C> Handler<C> for CacheService<H>
where
    H: Handler<C, Error: Send> + Clone + Send + 'static,
    C: ClientContext + Clone + Send + 'static,
{
    type Error = H::Error;
    type Future = ReplyFuture<H::Error>;

    fn handle(&self, mut request: Request<Body>, context: &C) -> Self::Future {
        match self.decide(&mut request, context) {
            Decision::Hit(reply) => self.hit(reply),
            decision => self.respond_slowly(request, context, H::clone, decision),
        }
    }
}

impl<S, B> Service<Request<B>> for CacheService<S>
where
    S: Service<Request<Body>, Response: Into<Reply>, Error: Send, Future: Send + 'static> + Clone + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<ReplyFuture<S::Error>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = TowerContext::from_request(&request);
        let reply = match self.decide(&mut request, &context) {
            Decision::Hit(reply) => self.hit(reply),
            decision => {
                let handler = |inner: &S| FromTower(inner.clone());
                self.respond_slowly(request, &context, handler, decision)
            }
        };
        ResponseFuture::new(reply)
    }
}

impl<S> fmt::Debug for CacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService").field("policy", &self.policy).finish_non_exhaustive()
    }
}

fn boxed<E>(response: impl Future<Output = Result<Response<Body>, E>> + Send + 'static) -> ReplyFuture<E> {
    ReplyFuture::boxed(async { response.await.map(Reply::Response) })
}

/// Revalidates a stale response that has answered a request already, unless another fill does.
fn revalidate_in_background<H, C>(origin: OriginCall<H, C>, mut request: Parts, revalidation: Revalidation)
where
    H: Handler<C, Error: Send> + Clone + Send + 'static,
    C: Clone + Send + 'static,
{
    let Revalidation { key, stored, reason, directives } = revalidation;
    let core = &origin.core;
    let overtaken = |since| core.prefix_purges.overtook(since, || key.place.target(&origin.policy.query).text());
    if let Role::Leader(leader) = core.flights.join(key.flight, &key.slots, &core.generations, overtaken) {
        // The client has its final response, so interim responses have nowhere to go.
        request.extensions.remove::<Interim>();
        let stored = Some(stored);
        let fill = Fill { origin, request, key, stored, reason, directives, store_generation: None };
        tokio::spawn(fill.run(leader, None));
    }
}

// === impl TowerContext ===

impl FromRequest for TowerContext {
    fn from_request<B>(request: &Request<B>) -> Self {
        Self { identity: request.extensions().get().cloned() }
    }
}

impl ClientContext for TowerContext {
    fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    fn for_background(&self) -> Self {
        self.clone()
    }
}
