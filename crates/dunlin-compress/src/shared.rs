//! [`Shared`]: the state that all services of one layer share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::assess::TypeCache;
use crate::facts::FactTable;
use crate::store::{Store, StoreStats};
use crate::workers::Workers;
use crate::{Config, Stats};

/// The limit of contents that wait for a better encoding. Each is held in memory meanwhile.
const BACKLOG: usize = 256;

/// The state that all services of one layer share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) types: TypeCache,
    /// The facts about stored heads that were seen before.
    pub(crate) facts: FactTable,
    /// The kept encodings. `None` if the configuration keeps none.
    pub(crate) store: Option<Arc<Store>>,
    /// The threads for encodings that a client waits for.
    pub(crate) workers: Arc<Workers>,
    /// The thread for better encodings.
    pub(crate) background: Workers,
    pub(crate) improved: AtomicU64,
    pub(crate) overflowed: AtomicU64,
}

/// A service's handle on the shared state.
///
/// Its references are counted apart from those of [`Shared`], so that requests to services on
/// different threads do not contend for one count.
pub(crate) struct SharedHandle(pub(crate) Arc<Shared>);

// === impl Shared ===

impl Shared {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            types: TypeCache::new(config.types.clone()),
            facts: FactTable::default(),
            store: (config.store > 0).then(|| Arc::new(Store::new(config.store))),
            workers: Arc::new(Workers::new(config.threads)),
            background: Workers::background(BACKLOG),
            improved: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            config,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let StoreStats { kept, kept_bytes, made } = self.store.as_ref().map_or_else(Default::default, |it| it.stats());
        let (improved, overflowed) = (self.improved.load(Ordering::Relaxed), self.overflowed.load(Ordering::Relaxed));
        Stats { kept, kept_bytes, made, improved, overflowed }
    }
}
