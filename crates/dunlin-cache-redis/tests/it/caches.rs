//! Two caches with one server, readers on both, and a writer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use dunlin_cache::{Cache, Config, RoutePolicy};
use dunlin_cache_redis::RedisStore;
use dunlin_http::{Body, Clock};
use dunlin_testkit::{PATIENCE, Redis};
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

/// What the database would be: one number, and how often it was read.
#[derive(Clone, Default)]
struct Origin {
    value: Arc<AtomicU64>,
    reads: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Instance {
    cache: Cache,
    store: RedisStore,
    service: BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
}

impl Instance {
    /// One that waits so long for the server.
    fn open(redis: &Redis, origin: &Origin, timeout: Duration) -> Self {
        let config = dunlin_cache_redis::Config { timeout, ..dunlin_cache_redis::Config::new(redis.url()) };
        let store = RedisStore::open(config).unwrap();
        let cache =
            Cache::with_store(Config { store_timeout: timeout, ..Config::default() }, Clock::system(), store.clone());
        let policy = RoutePolicy {
            age: Some(Duration::from_secs(3600)),
            groups: vec!["numbers".into()],
            ..RoutePolicy::default()
        };
        let origin = origin.clone();
        let read = move |_| {
            let origin = origin.clone();
            async move {
                origin.reads.fetch_add(1, SeqCst);
                let value = origin.value.load(SeqCst);
                // The answer takes its time, so that it may be overtaken.
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok::<_, Infallible>(Response::new(Body::from(value.to_string())))
            }
        };
        let service = BoxCloneSyncService::new(cache.layer(policy).layer(service_fn(read)));
        Self { cache, store, service }
    }

    async fn ready(&self) {
        while !(self.store.stats().connected && self.store.stats().listening) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn get(&self, path: &str) -> u64 {
        let request = Request::get(path).header("host", "example.com").body(Body::empty()).unwrap();
        let response = self.service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect(100).await.unwrap();
        std::str::from_utf8(&body).unwrap().parse().unwrap()
    }
}

/// Reads from an instance until it is told to stop. Gives how many reads there were, and the
/// longest.
async fn reader(instance: Instance, stop: Arc<AtomicBool>) -> (u64, Duration) {
    let (mut count, mut longest) = (0, Duration::ZERO);
    while !stop.load(SeqCst) {
        let begun = Instant::now();
        instance.get(if count % 2 == 0 { "/a" } else { "/b" }).await;
        longest = longest.max(begun.elapsed());
        count += 1;
        tokio::task::yield_now().await;
    }
    (count, longest)
}

#[tokio::test]
async fn nobody_reads_what_was_invalidated_once_they_have_heard_of_it() {
    let redis = Redis::start();
    let origin = Origin::default();
    let open = || Instance::open(&redis, &origin, PATIENCE);
    let (a, b) = (open(), open());
    a.ready().await;
    b.ready().await;
    let stop = Arc::new(AtomicBool::new(false));
    let readers = [&a, &a, &b, &b].map(|instance| tokio::spawn(reader(instance.clone(), Arc::clone(&stop))));
    for _ in 0..150 {
        let heard = b.store.stats().heard;
        let value = origin.value.fetch_add(1, SeqCst) + 1;
        a.cache.invalidate_groups(&["numbers"]);
        assert_eq!(a.get("/a").await, value, "who invalidates knows at once");
        let begun = Instant::now();
        while b.store.stats().heard == heard {
            assert!(begun.elapsed() < PATIENCE, "the other never hears of it: {:?}", b.store.stats());
            tokio::task::yield_now().await;
        }
        for path in ["/a", "/b"] {
            assert_eq!(b.get(path).await, value);
        }
    }
    stop.store(true, SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap().0 > 0);
    }
    let shared = a.cache.stats().shared + b.cache.stats().shared;
    assert!(shared > 0, "nothing was shared: {:?}", a.store.stats());
    assert_eq!(b.store.stats().gaps, 1);
}

#[tokio::test]
async fn a_server_that_dies_and_comes_back_under_load_costs_nobody_an_answer() {
    let mut redis = Redis::start();
    let origin = Origin::default();
    let open = || Instance::open(&redis, &origin, Duration::from_secs(2));
    let (a, b) = (open(), open());
    a.ready().await;
    b.ready().await;
    let stop = Arc::new(AtomicBool::new(false));
    let readers = [&a, &b].map(|instance| tokio::spawn(reader(instance.clone(), Arc::clone(&stop))));
    for _ in 0..3 {
        redis = blocking(redis, Redis::stop_hard).await;
        // Somebody writes while nobody can be told.
        let value = origin.value.fetch_add(1, SeqCst) + 1;
        a.cache.invalidate_groups(&["numbers"]);
        assert_eq!(a.get("/a").await, value);
        redis = blocking(redis, Redis::restart).await;
        let until = Instant::now() + PATIENCE;
        while b.get("/a").await != value || b.get("/b").await != value {
            assert!(Instant::now() < until, "the other never learns of it: {:?}", b.store.stats());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // All is as before: what one has read, the other need not.
    let until = Instant::now() + PATIENCE;
    for i in 0.. {
        let path = format!("/new/{i}");
        a.get(&path).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let shared = b.cache.stats().shared;
        b.get(&path).await;
        if b.cache.stats().shared > shared {
            break;
        }
        assert!(Instant::now() < until, "nothing is shared any more: {:?}", a.store.stats());
    }
    stop.store(true, SeqCst);
    for reader in readers {
        let (count, longest) = reader.await.unwrap();
        assert!(count > 0 && longest < Duration::from_secs(30), "{count} reads, the longest took {longest:?}");
    }
}

/// Does something that blocks to the server.
async fn blocking(mut redis: Redis, act: fn(&mut Redis)) -> Redis {
    let task = tokio::task::spawn_blocking(move || {
        act(&mut redis);
        redis
    });
    task.await.unwrap()
}
