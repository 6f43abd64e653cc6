//! The way of a request through the service: observe, route, compress, cache, answer.
//!
//! Each event loop has a [`LoopState`] of its own, made by [`Plan::build`] on that loop; nothing in it is written to
//! from another one.

mod access;
mod endpoint;
mod observe;
mod path;
mod plan;
mod query;
mod stack;
mod text;

use std::convert::Infallible;
use std::sync::Arc;

use dunlin_http::{Body, ClientInfo, Handler, Problem};
use dunlin_server::{Connect, Connection, Exchange, Match, Router};
use http::header::ALLOW;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode};

use crate::telemetry::{LoopCounters, UNMATCHED};
use access::Access;
use observe::{Answer, Observe, Watch};
pub(crate) use plan::Plan;
use stack::Stack;

/// The service of one event loop.
#[derive(Clone)]
pub(crate) struct App(Arc<LoopState>);

/// What an event loop serves with.
pub(crate) struct LoopState {
    router: Router<usize>,
    routes: Box<[RouteState]>,
    counters: Arc<LoopCounters>,
    /// Whether each request gets a line in the log.
    access: bool,
}

struct RouteState {
    path: String,
    stack: Stack,
    /// Whether it passes requests on, and so who the client is, and interim responses back.
    is_proxy: bool,
    is_cached: bool,
}

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
        let (state, connection) = (&self.0, exchange.connection());
        let access = state.access.then(|| Access::new(&request, connection));
        match state.router.find(request.method(), request.uri().path()) {
            Match::Found { value: &index, .. } => {
                let watch = Watch::new(state.clone(), index, access);
                let route = &state.routes[index];
                if route.is_cached && connection.is_secure() {
                    request.extensions_mut().insert(Scheme::HTTPS);
                }
                let future = route.stack.call(request, |request| tell(route, exchange, request));
                Observe::new(Answer::Route { future }, watch)
            }
            missed => {
                let response = Some(refuse(&missed, state.router.knows(request.method())));
                Observe::new(Answer::Own { response }, Watch::new(state.clone(), usize::MAX, access))
            }
        }
    }
}

/// Puts into the request what a proxy has to know of the connection.
fn tell(route: &RouteState, exchange: &Exchange, request: &mut Request<Body>) {
    if route.is_proxy {
        let connection = exchange.connection();
        let ip = connection.remote().map(|remote| remote.ip());
        request.extensions_mut().insert(ClientInfo::new(ip, connection.is_secure()));
        if let Some(interim) = exchange.interim() {
            request.extensions_mut().insert(interim);
        }
    }
}

/// What the router itself answers to a method that it knows, or does not.
fn refuse(missed: &Match<'_, usize>, knows: bool) -> Response<Body> {
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
    /// The pattern of a route, or what stands for none.
    fn path(&self, route: usize) -> &str {
        self.routes.get(route).map_or(UNMATCHED, |route| &route.path)
    }
}
