//! [`Second`]: a store with a timeout and a circuit breaker.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use dunlin_http::{BoxError, Counter};

use super::{Invalidation, Listener, Loaded, Saved, Store};

/// The failures in a row that open the breaker.
const MAX_FAILURES: u32 = 3;

/// A store of any type with a timeout and a circuit breaker.
pub(crate) struct Second {
    store: Box<dyn Erased>,
    timeout: Duration,
    pause: Duration,
    failures: AtomicU32,
    opened: Instant,
    /// The end of the pause, in milliseconds since `opened`.
    paused_until: AtomicU64,
}

type Loading<'a> = Pin<Box<dyn Future<Output = Result<Option<Loaded>, BoxError>> + Send + 'a>>;

/// A [`Store`] without its type.
trait Erased: Send + Sync {
    fn load<'a>(&'a self, key: &'a str) -> Loading<'a>;
    fn save(&self, key: &str, saved: Saved);
    fn invalidate(&self, invalidation: &Invalidation);
    fn listen(&self, listener: Listener);
}

// === impl Second ===

impl Second {
    pub(crate) fn new(store: impl Store, timeout: Duration, pause: Duration) -> Self {
        Self {
            store: Box::new(store),
            timeout,
            pause,
            failures: AtomicU32::new(0),
            opened: Instant::now(),
            paused_until: AtomicU64::new(0),
        }
    }

    /// Looks a key up. Returns `None` if the store does not answer in time.
    pub(crate) async fn load(&self, key: &str, failures: &Counter) -> Option<Loaded> {
        if self.now() < self.paused_until.load(SeqCst) {
            return None;
        }
        let error: BoxError = match tokio::time::timeout(self.timeout, self.store.load(key)).await {
            Ok(Ok(loaded)) => {
                self.failures.store(0, SeqCst);
                return loaded;
            }
            Ok(Err(error)) => error,
            Err(elapsed) => elapsed.into(),
        };
        failures.increment();
        if self.failures.fetch_add(1, SeqCst) + 1 >= MAX_FAILURES {
            self.failures.store(0, SeqCst);
            self.paused_until.store(self.now() + self.pause.as_millis() as u64, SeqCst);
            tracing::warn!(error, pause = ?self.pause, "second level: failed repeatedly; pausing");
        }
        None
    }

    pub(crate) fn save(&self, key: &str, saved: Saved) {
        self.store.save(key, saved);
    }

    pub(crate) fn invalidate(&self, invalidation: &Invalidation) {
        self.store.invalidate(invalidation);
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.store.listen(listener);
    }

    fn now(&self) -> u64 {
        self.opened.elapsed().as_millis() as u64
    }
}

// === impl Erased ===

impl<S: Store> Erased for S {
    fn load<'a>(&'a self, key: &'a str) -> Loading<'a> {
        Box::pin(Store::load(self, key))
    }

    fn save(&self, key: &str, saved: Saved) {
        Store::save(self, key, saved);
    }

    fn invalidate(&self, invalidation: &Invalidation) {
        Store::invalidate(self, invalidation);
    }

    fn listen(&self, listener: Listener) {
        Store::listen(self, listener);
    }
}
