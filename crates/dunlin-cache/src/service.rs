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

    /// Answers a request. `handler` makes the handler of a request that is forwarded.
    fn respond<H, C>(
        &self,
        mut request: Request<Body>,
        context: &C,
        handler: impl FnOnce(&S) -> H,
    ) -> ReplyFuture<H::Error>
    where
        H: Handler<C, Error: Send> + Clone + Send + 'static,
        C: ClientContext + Clone + Send + 'static,
    {
        // RFC 9110 §7.6.1: the origin does not get these fields, so they must not select a
        // response.
        hop_by_hop::remove_named(request.headers_mut());
        let Self { inner, core, policy } = self;
        let client = Client::of(context.identity(), policy);
        let empty = http_body::Body::is_end_stream(request.body());
        let decision = core.look_up(RequestHead::of(&request, client), empty, policy);
        let counters = &core.counters;
        let origin = |context| OriginCall {
            core: Arc::clone(core),
            policy: Arc::clone(policy),
            handler: handler(inner),
            context,
        };
        match decision {
            Decision::Hit(reply) => {
                counters.hits.increment();
                ReplyFuture::ready(reply)
            }
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
                boxed(origin(context.clone()).bypass(request, reason))
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

    fn handle(&self, request: Request<Body>, context: &C) -> Self::Future {
        self.respond(request, context, H::clone)
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let context = TowerContext::from_request(&request);
        let handler = |inner: &S| FromTower(inner.clone());
        ResponseFuture::new(self.respond(request.map(Body::new), &context, handler))
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
