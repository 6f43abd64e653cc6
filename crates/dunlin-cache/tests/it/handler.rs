//! The cache as a `Handler`, with the context of each request.

use std::sync::{Arc, Mutex};

use dunlin_cache::{Cache, CacheService, Config, RoutePolicy};
use dunlin_http::{
    Body, ClientInfo, Clock, Context, Handler, Identity, Interim, PathParams, Reply, ReplyFuture, SendInterim,
};
use http::{HeaderMap, Request, Response, StatusCode};
use tower::Layer;

use crate::world::{request, settle};

/// A handler that notes the context of each call, and answers with the number of the call.
#[derive(Clone, Default)]
struct Noting {
    contexts: Arc<Mutex<Vec<Context>>>,
    fields: Arc<Mutex<HeaderMap>>,
}

/// A connection that takes interim responses.
struct Connection;

// === impl Noting ===

impl Noting {
    fn with(name: &'static str, value: &str) -> Self {
        let handler = Self::default();
        handler.fields.lock().unwrap().insert(name, value.parse().unwrap());
        handler
    }

    fn calls(&self) -> usize {
        self.contexts.lock().unwrap().len()
    }
}

impl Handler<Context> for Noting {
    type Error = std::convert::Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, context: &Context) -> ReplyFuture {
        assert!(request.extensions().get::<Interim>().is_none());
        let mut contexts = self.contexts.lock().unwrap();
        contexts.push(context.clone());
        let mut response = Response::new(Body::from(format!("call {}", contexts.len())));
        response.headers_mut().clone_from(&self.fields.lock().unwrap());
        ReplyFuture::ready(response)
    }
}

impl SendInterim for Connection {
    fn send_interim(&self, _: u64, _: StatusCode, _: &HeaderMap) -> bool {
        true
    }
}

fn cached(handler: &Noting) -> (CacheService<Noting>, Clock) {
    let clock = Clock::manual(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000));
    let cache = Cache::with_clock(Config::default(), clock.clone());
    (cache.layer(RoutePolicy::default()).layer(handler.clone()), clock)
}

/// A context with everything that a server can put into it.
fn context(connection: &Arc<Connection>) -> Context {
    let mut params = PathParams::default();
    params.push("id".into(), "7".into());
    let mut context = Context::default();
    context.client = ClientInfo::new(Some([192, 0, 2, 1].into()), true);
    context.peer = Some(ClientInfo::new(Some([192, 0, 2, 2].into()), false));
    context.params = params;
    context.rest = Some(1);
    context.interim = Some(Interim::new(Arc::clone(connection) as _, 1));
    context.identity = Some(Arc::new(Identity::of_subject("ada")));
    context
}

#[tokio::test]
async fn a_hit_is_ready_at_once_and_needs_no_call() {
    let handler = Noting::with("cache-control", "max-age=60");
    let (service, _) = cached(&handler);
    let context = Context::default();
    let first = service.handle(request("GET", "/a", &[]), &context).await.unwrap();
    assert!(matches!(first, Reply::Response(_)));
    let hit = service.handle(request("GET", "/a", &[]), &context).take_ready().unwrap();
    assert!(matches!(hit, Reply::Stored(_)));
    assert_eq!((hit.body().as_bytes(), handler.calls()), (Some(&b"call 1"[..]), 1));
}

#[tokio::test]
async fn every_forwarded_request_has_its_context() {
    let handler = Noting::with("cache-control", "no-store");
    let (service, _) = cached(&handler);
    let connection = Arc::new(Connection);
    for method in ["GET", "HEAD", "POST", "OPTIONS"] {
        service.handle(request(method, "/a", &[]), &context(&connection)).await.unwrap();
    }
    let contexts = handler.contexts.lock().unwrap();
    assert_eq!(contexts.len(), 4);
    assert!(contexts.iter().all(|context| context.interim.is_some() && context.client.ip.is_some()));
}

#[tokio::test]
async fn a_background_revalidation_knows_nothing_of_the_client_but_its_identity() {
    let handler = Noting::with("cache-control", "max-age=1, stale-while-revalidate=60, public");
    let (service, clock) = cached(&handler);
    let connection = Arc::new(Connection);
    service.handle(request("GET", "/a", &[]), &context(&connection)).await.unwrap();
    settle().await;
    handler.contexts.lock().unwrap().clear();
    assert_eq!(Arc::strong_count(&connection), 1, "a finished fill keeps the connection");
    clock.advance(std::time::Duration::from_secs(2));
    let stale = service.handle(request("GET", "/a", &[]), &context(&connection)).await.unwrap();
    assert_eq!(stale.body().as_bytes(), Some(&b"call 1"[..]));
    settle().await;
    let contexts = handler.contexts.lock().unwrap();
    let [background] = &contexts[..] else { panic!("{} calls", contexts.len()) };
    assert!(background.interim.is_none() && background.peer.is_none());
    assert_eq!(background.client, ClientInfo::new(None, true));
    assert_eq!((background.params.get("id"), background.rest), (Some("7"), Some(1)));
    assert_eq!(background.identity.as_ref().and_then(|identity| identity.subject()), Some("ada"));
    assert_eq!(Arc::strong_count(&connection), 1);
}
