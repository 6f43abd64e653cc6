//! The path of a request: observe, route, admit, compress, cache, handle, finish.
//!
//! Each event loop has a [`LoopState`] of its own, made by [`Plan::build`]. Other loops write to
//! nothing in it. A reload exchanges it; see [`Service`].

mod boxed;
mod build;
mod describe;
mod health;
mod https;
mod identify;
mod live;
mod observe;
mod optional;
mod plan;
mod request_fields;
mod request_id;
mod running;
mod scopes;

use std::convert::Infallible;
use std::sync::Arc;

use dunlin_auth::identity_of_certificate;
use dunlin_cache::CacheService;
use dunlin_compress::Compress;
use dunlin_http::{
    Body, ClientInfo, Context, Handler, Identity, Network, Problem, Reply, ReplyFuture, SharedHandler, UpstreamSlot,
};
use dunlin_server::{Connect, Connection, Exchange, Match};
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ALLOW};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::admit::{Admit, Admitted, Verifying, is_preflight};
use crate::certificates::{Certificates, may_be_challenge};
use crate::fields::{IdentitySlot, host};
use crate::finish::RouteFinish;
use crate::hosts::HostRouter;
use crate::log::{Access, AccessLog, Origin};
use crate::telemetry::{LoopCounters, UNMATCHED};
pub(crate) use describe::{describe, describe_later};
pub(crate) use health::Health;
use observe::{Observe, Watch};
use optional::Optional;
pub(crate) use plan::Plan;
use running::Slot;
pub(crate) use running::{Built, Service};
use scopes::Scopes;

/// The service of one event loop, or of one of its connections.
#[derive(Clone)]
pub(crate) struct App {
    slot: Arc<Slot>,
    /// The identity by the certificate of the connection's client.
    identity: Option<Arc<Identity>>,
}

/// The parts that an event loop serves with.
pub(crate) struct LoopState {
    router: HostRouter<usize>,
    routes: Box<[RouteState]>,
    /// The part of requests that no route answers.
    unmatched: RouteState,
    counters: Arc<LoopCounters>,
    access: AccessLog,
    /// `true` if each request gets an identifier.
    request_id: bool,
    /// `true` if a route admits cross-origin requests.
    has_cors: bool,
    /// The answers to challenges, if certificates come by ACME.
    certificates: Option<Certificates>,
    /// The redirect of plain requests, if they are not answered otherwise.
    https: Option<https::HttpsRedirect>,
    /// The end of what its requests have stored.
    _scopes: Arc<Scopes>,
}

/// A route of one event loop.
struct RouteState {
    path: String,
    /// `true` if requests get access lines.
    log: bool,
    admit: Option<Admit>,
    /// The layers and the handler; `None` if the router answers.
    layers: Option<Layers>,
    finish: Option<Box<RouteFinish>>,
    /// `true` if another server answers, so that interim responses can come.
    forwards: bool,
    is_cached: bool,
    /// `true` if a field that names a client could be read, stored or passed on.
    reads_fields: bool,
    /// The proxies in front of this service.
    trusted: Box<[Network]>,
    /// The number of the route's counters.
    counters: usize,
}

/// The handler behind an optional cache.
type Cached = Optional<CacheService<SharedHandler<Context>>, SharedHandler<Context>>;

/// The layers of a route: Compress outside Cache outside the handler, each only where it is wanted.
type Layers = Optional<Compress<Cached>, Cached>;

/// The future of a route's layers.
type LayersFuture = <Layers as Handler<Context>>::Future;

// === impl App ===

impl Connect for App {
    type Handler = Self;

    fn connect(&self, connection: &Arc<Connection>) -> Self {
        let certificate = connection.client_certificates().first();
        let identity = certificate.and_then(|der| identity_of_certificate(der)).map(Arc::new);
        Self { slot: self.slot.clone(), identity }
    }
}

impl Handler<Exchange> for App {
    type Error = Infallible;
    type Future = Observe;

    fn handle(&self, mut request: Request<Body>, exchange: &Exchange) -> Observe {
        let state = self.slot.current();
        let connection = exchange.connection();
        let peer = ClientInfo::new(connection.remote().map(|remote| remote.ip()), connection.is_secure());
        if state.router.has_hosts() {
            // A trusted proxy may name another host, and the host decides about the route.
            identify::identify(&state.unmatched, &mut request, peer);
        }
        let index = match state.router.get(|| host(&request), request.method(), request.uri().path()) {
            None if state.has_cors => state.preflighted(&request),
            index => index.copied(),
        };
        let route = state.route(index);
        let mut context = Context::default();
        context.client = identify::identify(route, &mut request, peer);
        context.peer = Some(peer);
        if state.request_id {
            request_id::assign(&mut request, identify::is_trusted(route, peer));
        }
        let identity = match &self.identity {
            None => route.admit.as_ref().filter(|admit| admit.has_auth()).map(|_| IdentitySlot::default()),
            Some(identity) => Some(by_certificate(identity, route, &mut request, &mut context)),
        };
        let access = route.log.then(|| {
            context.upstream = route.forwards.then(UpstreamSlot::default);
            let origin = Origin { client: context.client, peer, tls: connection.tls_version() };
            Access::new(&request, origin, state.request_id, context.upstream.clone())
        });
        let begun = route.finish.as_ref().map(|finish| finish.begin(&request, &context.client, identity.as_ref()));
        let tunnel = route.forwards.then(|| connection.clone());
        let watch = Watch::new(state, index, access, tunnel, begun, identity.clone());
        let state = watch.state();
        let route = state.route(index);
        if let Some(certificates) = &state.certificates
            && may_be_challenge(&request)
            && let Some(response) = certificates.answer(&request)
        {
            return Observe::answered(response, watch);
        }
        if let Some(https) = state.https.filter(|_| !context.client.https && peer.ip.is_some()) {
            return Observe::answered(https.response(&request), watch);
        }
        let Some(layers) = &route.layers else {
            let response = state.refuse(&request, peer);
            return Observe::answered(response, watch);
        };
        if route.is_cached && context.client.https {
            request.extensions_mut().insert(Scheme::HTTPS);
        }
        if route.forwards {
            context.interim = exchange.interim();
        }
        if let Some(admit) = &route.admit {
            match admit.decide(&mut request, &mut context, identity.as_ref()) {
                Admitted::Passed => {}
                Admitted::Answered(response) => return Observe::answered(response, watch),
                Admitted::Waiting(verifying) => {
                    let future = state.clone().verify_and_handle(index, verifying, request, context, identity);
                    return Observe::boxed(ReplyFuture::boxed(future), watch);
                }
            }
        }
        let future = layers.handle(request, &context);
        Observe::new(future, watch)
    }
}

/// Gives a request the identity that the certificate of its client proves. A route with credentials
/// of its own decides for itself.
#[cold]
fn by_certificate(
    identity: &Arc<Identity>,
    route: &RouteState,
    request: &mut Request<Body>,
    context: &mut Context,
) -> IdentitySlot {
    request.extensions_mut().insert(identity.clone());
    if route.admit.as_ref().is_some_and(Admit::has_auth) {
        return IdentitySlot::default();
    }
    context.identity = Some(identity.clone());
    Arc::new(identity.clone().into())
}

/// The response of the router to a request that no route answers. `knows`: the method is known.
fn refusal(missed: &Match<'_, usize>, knows: bool) -> Response<Body> {
    match missed {
        Match::Options { allow } => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert(ALLOW, HeaderValue::clone(allow));
            response
        }
        Match::MethodNotAllowed { allow } => Problem::method_not_allowed(HeaderValue::clone(allow)).into_response(),
        Match::NotImplemented => Problem::new(StatusCode::NOT_IMPLEMENTED).into_response(),
        _ if knows => Problem::new(StatusCode::NOT_FOUND).into_response(),
        _ => Problem::new(StatusCode::NOT_IMPLEMENTED).into_response(),
    }
}

// === impl LoopState ===

impl LoopState {
    /// The response to a request that no route answers.
    #[cold]
    fn refuse(&self, request: &Request<Body>, peer: ClientInfo) -> Response<Body> {
        let authority = host(request);
        if peer.https && self.router.is_unknown(authority) {
            // RFC 9110 §15.5.20: this server does not answer for the host of the target.
            return Problem::new(StatusCode::MISDIRECTED_REQUEST).into_response();
        }
        let missed = self.router.find(|| authority, request.method(), request.uri().path());
        refusal(&missed, self.router.knows(request.method()))
    }

    /// The route that answers a preflight, which is the one of the method that it asks for.
    #[cold]
    fn preflighted(&self, request: &Request<Body>) -> Option<usize> {
        let method = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| is_preflight(request))?;
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        let index = *self.router.get(|| host(request), &method, request.uri().path())?;
        self.route(Some(index)).admit.as_ref().filter(|admit| admit.has_cors()).map(|_| index)
    }

    /// Goes on with a request when its credentials are verified.
    async fn verify_and_handle(
        self: Arc<Self>,
        index: Option<usize>,
        verifying: Verifying,
        mut request: Request<Body>,
        mut context: Context,
        identity: Option<IdentitySlot>,
    ) -> Result<Reply, Infallible> {
        let route = self.route(index);
        if let Some(admit) = &route.admit
            && let Some(response) = admit.wait(verifying, &mut request, &mut context, identity.as_ref()).await
        {
            return Ok(Reply::Response(response));
        }
        match &route.layers {
            Some(layers) => layers.handle(request, &context).await,
            None => Ok(Reply::Response(self.refuse(&request, context.peer.unwrap_or_default()))),
        }
    }

    /// The route of this number, or the part of requests that no route answers.
    fn route(&self, index: Option<usize>) -> &RouteState {
        index.and_then(|index| self.routes.get(index)).unwrap_or(&self.unmatched)
    }
}

// === impl RouteState ===

impl RouteState {
    /// The part of requests that no route answers.
    fn unmatched(log: bool, finish: Option<Box<RouteFinish>>, trusted: Box<[Network]>, counters: usize) -> Self {
        Self {
            path: UNMATCHED.to_owned(),
            log,
            admit: None,
            layers: None,
            finish,
            forwards: false,
            is_cached: false,
            reads_fields: false,
            trusted,
            counters,
        }
    }
}
