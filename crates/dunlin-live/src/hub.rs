//! [`Hub`]: the invalidations, limits and figures of all sources.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::source::Source;
use crate::stats::{Counters, Stats};

/// The sources of a process, with what they share. Clones are handles to the same hub.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

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

// === impl Hub ===

impl Hub {
    /// Makes a hub without sources.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let permits = Semaphore::new(config.max_looks.max(1));
        Self(Arc::new(Shared {
            config,
            counters: Counters::default(),
            permits,
            sources: Mutex::default(),
            lost: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }))
    }

    /// Makes a source whose results come from these groups. `E` is the error of its looks.
    #[must_use]
    pub fn source<E>(&self, groups: impl IntoIterator<Item = impl Into<String>>) -> Source<E>
    where
        E: Clone + fmt::Display + Send + Sync + 'static,
    {
        let source = Source::new(self.0.clone(), groups.into_iter().map(Into::into).collect());
        let mut sources = self.0.sources.lock();
        sources.retain(|source| source.strong_count() > 0);
        sources.push(source.downgrade());
        source
    }

    /// Looks again at all watched results of these groups.
    pub fn invalidate<G: AsRef<str>>(&self, groups: &[G]) {
        self.each(|source| {
            if source.groups().iter().any(|own| groups.iter().any(|group| group.as_ref() == own)) {
                source.invalidate();
            }
        });
    }

    /// Looks again at all watched results.
    pub fn invalidate_all(&self) {
        self.each(|source| source.invalidate());
    }

    /// Sets whether invalidations may be lost at present. As long as they are, a new stream begins
    /// with a look of its own. Call [`Hub::invalidate_all`] when they are back.
    pub fn set_lost(&self, lost: bool) {
        self.0.lost.store(lost, Ordering::SeqCst);
    }

    /// Ends every stream, and refuses new ones. Clients reconnect, to another process or later.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.each(|source| source.close());
    }

    /// The figures so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
    }

    fn each(&self, call: impl Fn(&dyn Invalidate)) {
        let sources = self.0.sources.lock().clone();
        sources.iter().filter_map(Weak::upgrade).for_each(|source| call(&*source));
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}
