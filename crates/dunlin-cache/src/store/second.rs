//! [`Second`]: a store behind a timeout and a breaker.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use dunlin_http::BoxError;

use super::{Invalidation, Listener, Loaded, Saved, Store};
use crate::stats::Counter;

/// Failures in a row that open the breaker.
const MOST_FAILURES: u32 = 3;

/// A store behind a timeout and a breaker, whatever its type.
pub(crate) struct Second {
    store: Box<dyn Erased>,
    timeout: Duration,
    pause: Duration,
    failures: AtomicU32,
    begun: Instant,
    /// Until when the store is left alone, in milliseconds since `begun`.
    closed_until: AtomicU64,
}

type Loading<'a> = Pin<Box<dyn Future<Output = Result<Option<Loaded>, BoxError>> + Send + 'a>>;

/// A [`Store`] without its type.
trait Erased: Send + Sync {
    fn load<'a>(&'a self, key: &'a str) -> Loading<'a>;
    fn save(&self, key: &str, saved: Saved);
    fn invalidate(&self, what: &Invalidation);
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
            begun: Instant::now(),
            closed_until: AtomicU64::new(0),
        }
    }

    /// What is stored for a key; `None` when the store cannot say, or not in time.
    pub(crate) async fn load(&self, key: &str, failures: &Counter) -> Option<Loaded> {
        if self.now() < self.closed_until.load(SeqCst) {
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
        failures.add();
        if self.failures.fetch_add(1, SeqCst) + 1 >= MOST_FAILURES {
            self.failures.store(0, SeqCst);
            self.closed_until.store(self.now() + self.pause.as_millis() as u64, SeqCst);
            tracing::warn!(error, pause = ?self.pause, "the second level fails and is left alone");
        }
        None
    }

    pub(crate) fn save(&self, key: &str, saved: Saved) {
        self.store.save(key, saved);
    }

    pub(crate) fn invalidate(&self, what: &Invalidation) {
        self.store.invalidate(what);
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.store.listen(listener);
    }

    fn now(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
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

    fn invalidate(&self, what: &Invalidation) {
        Store::invalidate(self, what);
    }

    fn listen(&self, listener: Listener) {
        Store::listen(self, listener);
    }
}
