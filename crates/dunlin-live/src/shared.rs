//! [`Shared`]: the state that the clones of a hub share.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::stats::Counters;

/// The state that the clones of a hub share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    /// A permit for each look in flight.
    pub(crate) permits: Semaphore,
    sources: Mutex<Vec<Weak<dyn Invalidate>>>,
    /// `true` while invalidations may be lost.
    lost: AtomicBool,
    closed: AtomicBool,
}

/// A source, whatever its type of error.
pub(crate) trait Invalidate: Send + Sync {
    /// The groups that its results come from.
    fn groups(&self) -> &[String];

    /// Looks at each watched result again.
    fn invalidate(&self);

    /// Ends every stream.
    fn close(&self);
}

// === impl Shared ===

impl Shared {
    /// The state of a hub without sources.
    pub(crate) fn new(config: Config) -> Self {
        let permits = Semaphore::new(config.max_looks.max(1));
        Self {
            config,
            counters: Counters::default(),
            permits,
            sources: Mutex::default(),
            lost: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Adds a source, and forgets those that are gone.
    pub(crate) fn add(&self, source: Weak<dyn Invalidate>) {
        let mut sources = self.sources.lock();
        sources.retain(|source| source.strong_count() > 0);
        sources.push(source);
    }

    pub(crate) fn sources(&self) -> Vec<Weak<dyn Invalidate>> {
        self.sources.lock().clone()
    }

    pub(crate) fn set_lost(&self, lost: bool) {
        self.lost.store(lost, Ordering::SeqCst);
    }

    pub(crate) fn set_closed(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}
