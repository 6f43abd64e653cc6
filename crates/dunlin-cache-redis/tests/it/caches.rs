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

/// A stand-in for a database: one number, and the count of its reads.
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
    /// An instance whose commands have this timeout.
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
                // A slow response, so that invalidations overtake some.
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

/// Reads from an instance until `stop` is set. Returns the number of reads and the longest time of
/// one.
async fn reader(instance: Instance, stop: Arc<AtomicBool>) -> (u64, Duration) {
    let (mut count, mut longest) = (0, Duration::ZERO);
    while !stop.load(SeqCst) {
        let start = Instant::now();
        instance.get(if count % 2 == 0 { "/a" } else { "/b" }).await;
        longest = longest.max(start.elapsed());
        count += 1;
        tokio::task::yield_now().await;
    }
    (count, longest)
}

#[tokio::test]
async fn no_instance_serves_an_entry_after_its_invalidation_has_arrived() {
    let redis = Redis::start();
    let origin = Origin::default();
    let open = || Instance::open(&redis, &origin, PATIENCE);
    let (a, b) = (open(), open());
    a.ready().await;
    b.ready().await;
    let stop = Arc::new(AtomicBool::new(false));
    let readers = [&a, &a, &b, &b].map(|instance| tokio::spawn(reader(instance.clone(), Arc::clone(&stop))));
    for _ in 0..150 {
        let received = b.store.stats().received;
        let value = origin.value.fetch_add(1, SeqCst) + 1;
        a.cache.invalidate_groups(&["numbers"]);
        assert_eq!(a.get("/a").await, value, "the instance that invalidates is up to date at once");
        let start = Instant::now();
        while b.store.stats().received == received {
            assert!(start.elapsed() < PATIENCE, "the invalidation never arrives: {:?}", b.store.stats());
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
async fn requests_succeed_while_the_server_is_killed_and_restarted() {
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
        // The value changes while the server is away.
        let value = origin.value.fetch_add(1, SeqCst) + 1;
        a.cache.invalidate_groups(&["numbers"]);
        assert_eq!(a.get("/a").await, value);
        redis = blocking(redis, Redis::restart).await;
        let until = Instant::now() + PATIENCE;
        while b.get("/a").await != value || b.get("/b").await != value {
            assert!(Instant::now() < until, "the invalidation never arrives: {:?}", b.store.stats());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // Sharing works again: one instance serves what the other has read.
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

/// Runs a blocking action on the server.
async fn blocking(mut redis: Redis, act: fn(&mut Redis)) -> Redis {
    let task = tokio::task::spawn_blocking(move || {
        act(&mut redis);
        redis
    });
    task.await.unwrap()
}
