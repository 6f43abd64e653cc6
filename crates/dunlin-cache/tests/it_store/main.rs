//! Two caches with one second level, which is the simplest implementation of `Store`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

mod shared;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use dunlin_cache::store::Store;
use dunlin_cache::{Cache, Config, QueryKey, RoutePolicy};
use dunlin_http::{Body, Clock};
use http::{HeaderMap, Request, Response, StatusCode};
use shared::Shared;
use tokio::sync::Notify;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

/// An instance: a cache in front of the shared origin.
struct Instance {
    cache: Cache,
    service: BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
}

#[derive(Clone, Default)]
struct Origin {
    calls: Arc<AtomicU32>,
    /// The fields of its responses.
    fields: Arc<Mutex<HeaderMap>>,
    /// Responses wait for this notification, if there is one.
    gate: Arc<Mutex<Option<Arc<Notify>>>>,
}

impl Origin {
    async fn respond(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let call = self.calls.fetch_add(1, SeqCst) + 1;
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        let mut response = Response::new(Body::from(format!("call {call}")));
        *response.headers_mut() = self.fields.lock().unwrap().clone();
        if request.headers().contains_key("if-none-match") {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
        }
        Ok(response)
    }

    fn calls(&self) -> u32 {
        self.calls.load(SeqCst)
    }

    fn set(&self, name: &'static str, value: &'static str) {
        self.fields.lock().unwrap().insert(name, value.parse().unwrap());
    }
}

impl Instance {
    fn with(store: impl Store, origin: &Origin, policy: RoutePolicy) -> Self {
        let clock = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        Self::at(clock, store, origin, policy)
    }

    fn at(clock: Clock, store: impl Store, origin: &Origin, policy: RoutePolicy) -> Self {
        let config = Config { store_timeout: Duration::from_millis(100), ..Config::default() };
        let cache = Cache::with_store(config, clock, store);
        let origin = origin.clone();
        let service = cache.layer(policy).layer(service_fn(move |request| origin.clone().respond(request)));
        Self { cache, service: BoxCloneSyncService::new(service) }
    }

    async fn send(&self, method: &str, path: &str) -> (String, String) {
        let request = Request::builder().method(method).uri(path).header("host", "example.com");
        let response = self.service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
        let body = response.into_body().collect(1 << 20).await.unwrap();
        (String::from_utf8(body.to_vec()).unwrap(), status)
    }

    /// The body, with `true` if it came from a cache.
    async fn get(&self, path: &str) -> (String, bool) {
        let (body, status) = self.send("GET", path).await;
        (body, status.contains("; hit"))
    }
}

fn hour(groups: &[&str]) -> RoutePolicy {
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    RoutePolicy { age: Some(Duration::from_secs(3600)), groups, ..RoutePolicy::default() }
}

fn two(policy: &RoutePolicy) -> (Instance, Instance, Origin) {
    let (store, origin) = (Shared::default(), Origin::default());
    let of = || Instance::with(store.clone(), &origin, policy.clone());
    (of(), of(), origin)
}

#[tokio::test]
async fn an_instance_finds_the_entries_of_another() {
    let (a, b, origin) = two(&hour(&[]));
    assert_eq!(a.get("/").await, ("call 1".into(), false));
    let (body, status) = b.send("GET", "/").await;
    assert_eq!((body.as_str(), status.as_str()), ("call 1", "dunlin; hit; ttl=3600; detail=shared"));
    let (_, status) = b.send("GET", "/").await;
    assert_eq!(status, "dunlin; hit; ttl=3600", "then it is in memory");
    assert_eq!((origin.calls(), b.cache.stats().shared), (1, 1));
}

#[tokio::test]
async fn variants_are_distinguished() {
    let (a, b, origin) = two(&hour(&[]));
    origin.set("vary", "accept-language");
    let get = |instance: &Instance, language: &str| {
        let request = Request::get("/").header("accept-language", language).body(Body::empty()).unwrap();
        let answer = instance.service.clone().oneshot(request);
        async { answer.await.unwrap().into_body().collect(100).await.unwrap() }
    };
    assert_eq!(get(&a, "de").await, "call 1");
    assert_eq!(get(&a, "fr").await, "call 2");
    assert_eq!(get(&b, "fr").await, "call 2");
    assert_eq!(get(&b, "de").await, "call 1");
    assert_eq!(get(&b, "nl").await, "call 3");
}

#[tokio::test]
async fn an_invalidation_reaches_every_instance() {
    let (a, b, _) = two(&hour(&["users"]));
    a.get("/").await;
    assert!(b.get("/").await.1);
    a.cache.invalidate_groups(&["users"]);
    assert_eq!(b.get("/").await, ("call 2".into(), false));
    assert!(a.get("/").await.1);
    b.cache.purge_url(&"http://example.com/".parse().unwrap());
    assert_eq!(a.get("/").await, ("call 3".into(), false));
    b.send("POST", "/").await;
    assert_eq!(a.get("/").await, ("call 5".into(), false));
    b.cache.purge_all();
    assert_eq!(a.get("/").await, ("call 6".into(), false));
}

#[tokio::test]
async fn a_purge_of_a_path_removes_all_parameters_in_every_instance() {
    let policy = RoutePolicy { query: QueryKey::Only(vec!["id".into()]), ..hour(&[]) };
    let (a, b, origin) = two(&policy);
    a.get("/users?id=1&utm=x").await;
    assert!(b.get("/users?id=1").await.1);
    b.cache.purge_url(&"http://example.com/users".parse().unwrap());
    assert!(!a.get("/users?id=1").await.1);
    assert_eq!(origin.calls(), 2);
}

#[tokio::test]
async fn a_fill_that_began_before_an_invalidation_is_not_shared() {
    let (a, b, origin) = two(&hour(&["users"]));
    let gate = Arc::new(Notify::new());
    *origin.gate.lock().unwrap() = Some(Arc::clone(&gate));
    let slow = tokio::spawn(async move { a.get("/").await });
    while origin.calls() == 0 {
        tokio::task::yield_now().await;
    }
    b.cache.invalidate_groups(&["users"]);
    *origin.gate.lock().unwrap() = None;
    gate.notify_one();
    assert_eq!(slow.await.unwrap().0, "call 1");
    assert_eq!(b.get("/").await, ("call 2".into(), false));
}

#[tokio::test]
async fn a_stale_entry_of_the_store_is_revalidated() {
    let (store, origin) = (Shared::default(), Origin::default());
    origin.set("cache-control", "max-age=60, stale-if-error=600");
    origin.set("etag", "\"a\"");
    let clock = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    let of = || Instance::at(clock.clone(), store.clone(), &origin, RoutePolicy::default());
    of().get("/").await;
    clock.advance(Duration::from_secs(100));
    origin.set("date", "Mon, 12 Jan 1970 13:48:20 GMT");
    let (body, status) = of().send("GET", "/").await;
    assert_eq!(body, "call 1");
    assert!(status.starts_with("dunlin; fwd=stale; fwd-status=304; ttl=60; stored"), "{status}");
    assert!(of().get("/").await.1, "the freshened one is shared");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_a_miss_and_is_then_paused() {
    let (store, origin) = (Shared::default(), Origin::default());
    let instance = Instance::with(store.clone(), &origin, hour(&[]));
    store.hang(true);
    for i in 1..=5 {
        assert_eq!(instance.get(&format!("/{i}")).await, (format!("call {i}"), false));
    }
    assert_eq!((store.loads(), instance.cache.stats().store_failures), (3, 3));
    assert!(instance.get("/1").await.1, "the memory does not need it");
}
