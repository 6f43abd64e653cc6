//! The listener for those who run the service: is it alive, is it ready, what has it done; and what it shall forget.
//!
//! It never shares an address with the public one. It has a thread of its own, so it answers when the loops are busy, and
//! it goes on answering while they drain.

mod health;
mod metrics;
mod purge;
mod status;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dunlin_http::{Body, BoxError, Problem};
use dunlin_server::{Config, Handle, Running, Server};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

use crate::config::Admin;
use crate::service::Plan;
pub(crate) use health::Health;

/// The service behind the listener.
#[derive(Clone)]
struct Desk(Arc<State>);

/// What can be asked about.
struct State {
    plan: Arc<Plan>,
    health: Arc<Health>,
    server: Handle,
}

const PAGE: &str = include_str!("status.html");

impl Admin {
    /// How its own small server is set.
    pub(crate) fn server(&self, public: &Config) -> Config {
        // What takes the public sockets over takes these over too.
        let handover = public.handover.as_ref().map(|path| {
            let mut path = path.clone().into_os_string();
            path.push(".admin");
            path.into()
        });
        Config {
            listen: self.listen.clone(),
            workers: 1,
            reuse_port: public.reuse_port,
            handover,
            max_body: 64 * 1024,
            drain: std::time::Duration::from_secs(1),
            ..Config::default()
        }
    }
}

/// Starts it.
pub(crate) fn start(
    server: Server,
    plan: &Arc<Plan>,
    health: &Arc<Health>,
    public: &Handle,
) -> anyhow::Result<Running> {
    let desk = Desk(Arc::new(State { plan: plan.clone(), health: health.clone(), server: public.clone() }));
    let running = server.start(move |_| {
        let desk = desk.clone();
        async move { Ok::<_, BoxError>(desk) }
    })?;
    for addr in running.local_addrs() {
        tracing::info!(%addr, "admin");
    }
    Ok(running)
}

// === impl Desk ===

impl Desk {
    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let state = &*self.0;
        let path = request.uri().path();
        let allow = match path {
            "/" | "/healthz" | "/readyz" | "/metrics" | "/status.json" => "GET, HEAD",
            "/purge" => "POST",
            _ => return Problem::new(StatusCode::NOT_FOUND).into_response(),
        };
        if !allow.split(", ").any(|method| method == request.method().as_str()) {
            if *request.method() == Method::OPTIONS {
                return with(StatusCode::NO_CONTENT, &[(ALLOW, allow)], Body::empty());
            }
            return Problem::method_not_allowed(HeaderValue::from_static(allow)).into_response();
        }
        match path {
            "/" => {
                // Nothing but the page itself may run in it or be asked by it.
                let policy =
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
                let mut response = typed("text/html; charset=utf-8", PAGE);
                response.headers_mut().insert("content-security-policy", HeaderValue::from_static(policy));
                response
            }
            "/healthz" => typed("text/plain; charset=utf-8", "alive\n"),
            "/readyz" => ready(state),
            "/metrics" => typed("text/plain; version=0.0.4; charset=utf-8", metrics::exposition(state)),
            "/status.json" => typed("application/json", status::document(state).to_string()),
            _ => purge::purge(state.plan.cache(), request).await,
        }
    }
}

impl Service<Request<Body>> for Desk {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let desk = self.clone();
        Box::pin(async move { Ok(desk.answer(request).await) })
    }
}

// === impl State ===

impl State {
    /// Why it should not be sent new clients; nothing when it may.
    fn unready(&self) -> Vec<String> {
        let stopping = self.server.is_stopping().then(|| "stopping".to_owned());
        stopping.into_iter().chain(self.health.trouble()).collect()
    }
}

fn ready(state: &State) -> Response<Body> {
    let reasons = state.unready();
    if reasons.is_empty() {
        return typed("text/plain; charset=utf-8", "ready\n");
    }
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).detail(reasons.join("; ")).retry_after(1).into_response()
}

fn typed(content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    with(StatusCode::OK, &[(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")], body.into())
}

fn with(status: StatusCode, fields: &[(http::HeaderName, &'static str)], body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in fields {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
