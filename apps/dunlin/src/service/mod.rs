//! The path of a request: observe, route, admit, compress, cache, handle, finish.
//!
//! Each event loop has a [`LoopState`] of its own, made by [`Plan::build`] on that loop. Other
//! loops write to nothing in it.

mod access;
mod admit;
mod identify;
mod observe;
mod optional;
mod plan;

use std::convert::Infallible;
use std::sync::Arc;

use dunlin_cache::CacheService;
use dunlin_compress::Compress;
use dunlin_http::{Body, ClientInfo, Context, Handler, Network, Problem, SharedHandler};
use dunlin_server::{Connect, Connection, Exchange, Match, Router};
use http::header::{ALLOW, HOST};
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode};

use crate::finish::{Facts, Finish};
use crate::routes::Captures;
use crate::telemetry::{LoopCounters, UNMATCHED};
use access::Access;
use admit::{Admit, Admitted};
use observe::{Observe, Watch};
use optional::Optional;
pub(crate) use plan::Plan;

/// The service of one event loop.
#[derive(Clone)]
pub(crate) struct App(Arc<LoopState>);

/// The parts that an event loop serves with.
pub(crate) struct LoopState {
    router: Router<usize>,
    routes: Box<[RouteState]>,
    /// The part of requests that no route answers.
    unmatched: RouteState,
    counters: Arc<LoopCounters>,
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
    /// The proxies in front of this service.
    trusted: Box<[Network]>,
    /// The number of the route's counters.
    counters: usize,
}

/// The edits of a route's responses.
struct RouteFinish {
    finish: Finish,
    captures: Captures,
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

    fn connect(&self, _: &Arc<Connection>) -> Self {
        self.clone()
    }
}

impl Handler<Exchange> for App {
    type Error = Infallible;
    type Future = Observe;

    fn handle(&self, mut request: Request<Body>, exchange: &Exchange) -> Observe {
        let state = &self.0;
        let connection = exchange.connection();
        let index = match state.router.find(request.method(), request.uri().path()) {
            Match::Found { value: &index, .. } => Some(index),
            _ => None,
        };
        let route = state.route(index);
        let peer = ClientInfo::new(connection.remote().map(|remote| remote.ip()), connection.is_secure());
        let mut context = Context::default();
        context.client = identify::identify(route, &mut request, peer);
        context.peer = Some(peer);
        let access = route.log.then(|| Access::new(&request, context.client.ip));
        let begun = route.finish.as_ref().map(|finish| finish.begin(&request, &context.client));
        let tunnel = route.forwards.then(|| connection.clone());
        let watch = Watch::new(state.clone(), index, access, tunnel, begun);
        let Some(layers) = &route.layers else { return Observe::answered(state.refuse(&request), watch) };
        if let Some(admit) = &route.admit
            && let Admitted::Answered(response) = admit.decide(&mut request, &mut context)
        {
            return Observe::answered(response, watch);
        }
        if route.is_cached && context.client.https {
            request.extensions_mut().insert(Scheme::HTTPS);
        }
        if route.forwards {
            context.interim = exchange.interim();
        }
        Observe::new(layers.handle(request, &context), watch)
    }
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
    fn refuse(&self, request: &Request<Body>) -> Response<Body> {
        let missed = self.router.at(request.method(), request.uri().path());
        refusal(&missed, self.router.knows(request.method()))
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
            trusted,
            counters,
        }
    }
}

// === impl RouteFinish ===

impl RouteFinish {
    fn begin(&self, request: &Request<Body>, client: &ClientInfo) -> crate::finish::Begun {
        // RFC 9112 §3.2.2: a host in the URI has precedence over `Host`.
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        let host = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = authority.or_else(host).unwrap_or_default();
        let facts = Facts { client_ip: client.ip, host, scheme: client.scheme() };
        self.finish.begin(request, &facts, &self.captures)
    }
}
