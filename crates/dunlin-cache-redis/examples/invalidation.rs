//! The delay of an invalidation between two instances: `cargo run --release --example
//! invalidation`.
//!
//! It measures from the call on one instance to the first new response of the other. It starts a
//! server of its own, so Redis or Valkey must be installed.

#![allow(clippy::unwrap_used, reason = "an example that cannot go on stops")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use dunlin_cache::{Cache, Config, RoutePolicy};
use dunlin_cache_redis::RedisStore;
use dunlin_http::{Body, Clock};
use dunlin_testkit::Redis;
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

const ROUNDS: usize = 1000;

type Service = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let redis = Redis::start();
    let value = Arc::new(AtomicU64::new(0));
    let ((one, _), (_, other)) = (instance(&redis, &value).await, instance(&redis, &value).await);
    let mut delays = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let new = value.fetch_add(1, SeqCst) + 1;
        let start = Instant::now();
        one.invalidate_groups(&["numbers"]);
        while get(&other).await < new {
            tokio::task::yield_now().await;
        }
        delays.push(start.elapsed());
    }
    delays.sort_unstable();
    let percentile = |hundredths: usize| delays[(ROUNDS * hundredths / 100).min(ROUNDS - 1)];
    println!("{ROUNDS} invalidations: p50 {:?}, p99 {:?}, max {:?}", percentile(50), percentile(99), percentile(100));
}

/// An instance of a service that shares the server, connected and listening.
async fn instance(redis: &Redis, value: &Arc<AtomicU64>) -> (Cache, Service) {
    let store = RedisStore::open(dunlin_cache_redis::Config::new(redis.url())).unwrap();
    let cache = Cache::with_store(Config::default(), Clock::system(), store.clone());
    let hour = Some(Duration::from_secs(3600));
    let policy = RoutePolicy { age: hour, groups: vec!["numbers".into()], ..RoutePolicy::default() };
    let value = value.clone();
    let read = move |_| {
        let number = value.load(SeqCst).to_string();
        async { Ok::<_, Infallible>(Response::new(Body::from(number))) }
    };
    let service = BoxCloneSyncService::new(cache.layer(policy).layer(service_fn(read)));
    while !(store.stats().connected && store.stats().listening) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (cache, service)
}

async fn get(service: &Service) -> u64 {
    let request = Request::get("/").header("host", "example.com").body(Body::empty()).unwrap();
    let body = service.clone().oneshot(request).await.unwrap().into_body();
    std::str::from_utf8(body.as_bytes().unwrap_or_default()).unwrap().parse().unwrap_or(0)
}
