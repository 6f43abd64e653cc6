//! The listener for operators: health, readiness, figures, and purges of the cache.
//!
//! It never shares an address with the public listener. It has a thread of its own, so that it
//! answers while the loops are busy, and while they drain.

mod certificates;
mod exposition;
mod guard;
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
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

use crate::config::Admin;
use crate::reload::Reloads;
use crate::service::{Health, Service as Serving};

/// The service of the listener.
#[derive(Clone)]
struct Desk(Arc<State>);

/// The parts that the pages are about.
struct State {
    service: Arc<Serving>,
    health: Arc<Health>,
    server: Handle,
    reloads: Reloads,
}

/// The page may run its own script and ask its own listener, and no page may contain it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const PAGE: &str = include_str!("status.html");

impl Admin {
    /// The settings of its own small server.
    pub(crate) fn server(&self, public: &Config) -> Config {
        // A process that takes over the public sockets takes over these too.
        let handover = public.handover.as_ref().map(|path| {
            let mut path = path.clone().into_os_string();
            path.push(".admin");
            path.into()
        });
        Config {
            listen: self.listen.iter().cloned().map(Into::into).collect(),
            workers: 1,
            reuse_port: public.reuse_port,
            handover,
            max_body: 64 * 1024,
            drain: std::time::Duration::from_secs(1),
            ..Config::default()
        }
    }
}

/// Starts the listener.
pub(crate) fn start(
    server: Server,
    service: &Arc<Serving>,
    health: &Arc<Health>,
    public: &Handle,
    reloads: &Reloads,
) -> anyhow::Result<Running> {
    let (service, health) = (service.clone(), health.clone());
    let desk = Desk(Arc::new(State { service, health, server: public.clone(), reloads: reloads.clone() }));
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
        let plan = state.service.plan();
        let hosts = plan.config().admin.as_ref().map(|admin| &admin.hosts[..]).unwrap_or_default();
        if let Some((status, reason)) = guard::refusal(&request, hosts) {
            return Problem::new(status).detail(reason).into_response();
        }
        let path = request.uri().path();
        let allow = match path {
            "/" | "/healthz" | "/readyz" | "/metrics" | "/status.json" => "GET, HEAD",
            "/purge" | "/reload" => "POST",
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
                let mut response = typed("text/html; charset=utf-8", PAGE);
                response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
                response
            }
            "/healthz" => typed("text/plain; charset=utf-8", "alive\n"),
            "/readyz" => ready(state),
            "/metrics" => typed("text/plain; version=0.0.4; charset=utf-8", metrics::page(state)),
            "/status.json" => typed("application/json", status::document(state).to_string()),
            "/reload" => reload(state).await,
            _ => purge::purge(plan.cache(), request).await,
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
    /// The reasons why new clients should not be sent here.
    fn unready(&self) -> Vec<String> {
        let stopping = self.server.is_stopping().then(|| "stopping".to_owned());
        stopping.into_iter().chain(self.health.trouble()).collect()
    }
}

/// Reads the configuration again, and says how that ended.
async fn reload(state: &State) -> Response<Body> {
    match state.reloads.run().await {
        Some(outcome) => typed("application/json", outcome.document().to_string()),
        None => Problem::new(StatusCode::SERVICE_UNAVAILABLE).detail("the service is stopping").into_response(),
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
    let nosniff = (X_CONTENT_TYPE_OPTIONS, "nosniff");
    with(StatusCode::OK, &[(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store"), nosniff], body.into())
}

fn with(status: StatusCode, fields: &[(http::HeaderName, &'static str)], body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in fields {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
