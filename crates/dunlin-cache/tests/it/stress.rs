//! Threads that read and invalidate at once: after an invalidation, no response from before it is
//! used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use dunlin_cache::RoutePolicy;
use dunlin_http::Body;

use crate::collapse::stream;
use crate::world::{World, response};

const READERS: u64 = 4;
const READS: u64 = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_response_from_before_an_invalidation_is_used_after_it() {
    let world = World::with(RoutePolicy { groups: vec!["g".into()], ..RoutePolicy::default() });
    // The version of the origin, and the version from when the last invalidation returned.
    let (version, settled) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let content = Arc::clone(&version);
    world.origin.reply_later(move || {
        let version = content.load(SeqCst);
        async move {
            for _ in 0..version % 4 {
                tokio::task::yield_now().await;
            }
            response(200, &[("cache-control", "max-age=60")], body(version))
        }
    });

    let readers = (0..READERS).map(|_| {
        let (world, settled) = (world.clone(), Arc::clone(&settled));
        tokio::spawn(async move {
            for _ in 0..READS {
                let settled = settled.load(SeqCst);
                let got = world.get("/a", &[]).await;
                let got: u64 = got.text().parse().unwrap();
                assert!(got >= settled, "requested after {settled}, got {got}");
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    while !readers.iter().all(tokio::task::JoinHandle::is_finished) {
        let now = version.fetch_add(1, SeqCst) + 1;
        match now % 3 {
            0 => {
                world.cache.purge_url(&"http://example.com/a".parse().unwrap());
            }
            1 => world.cache.invalidate_groups(&["g"]),
            _ => {
                world.cache.purge_all();
            }
        }
        settled.store(now, SeqCst);
        for _ in 0..now % 8 {
            tokio::task::yield_now().await;
        }
    }
    for reader in readers {
        reader.await.unwrap();
    }
    let stats = world.cache.stats();
    assert!(stats.hits + stats.collapsed > 0 && stats.misses > 0, "{stats:?}");
}

/// A complete body for even versions, a stream for odd ones.
fn body(version: u64) -> Body {
    let text = version.to_string();
    if version.is_multiple_of(2) {
        return text.into();
    }
    let (sender, stream) = stream();
    tokio::spawn(async move {
        for byte in text.into_bytes() {
            tokio::task::yield_now().await;
            let _ = sender.send(Ok(vec![byte].into()));
        }
    });
    stream
}
