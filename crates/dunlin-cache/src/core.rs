//! [`Core`]: the state that the clones of a cache share.

use std::sync::Arc;

use dunlin_http::Clock;
use parking_lot::RwLock;

use crate::config::Config;
use crate::flights::Flights;
use crate::generations::Generations;
use crate::hit_for_miss::HitForMiss;
use crate::memory::Memory;
use crate::policy::key::{Seeds, Target};
use crate::prefix_purges::PrefixPurges;
use crate::search_rules::SearchRules;
use crate::stats::Counters;
use crate::store::Invalidation;
use crate::store::second::Second;

/// The state that the clones of a cache share.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) seeds: Seeds,
    pub(crate) memory: Memory,
    pub(crate) generations: Generations,
    pub(crate) prefix_purges: PrefixPurges,
    pub(crate) flights: Arc<Flights>,
    pub(crate) hit_for_miss: HitForMiss,
    pub(crate) counters: Counters,
    /// The store that other instances share.
    pub(crate) second: Option<Second>,
    pub(crate) search_rules: SearchRules,
    /// The functions that are called after each invalidation.
    pub(crate) observers: RwLock<Vec<Observer>>,
}

/// A function that is called after an invalidation.
pub(crate) type Observer = Box<dyn Fn(&Invalidation) + Send + Sync>;

// === impl Core ===

impl Core {
    pub(crate) fn new(mut config: Config, clock: Clock, second: Option<Second>) -> Self {
        let memory = Memory::new(config.memory, config.max_entry, config.max_variants.max(1));
        // `Cache-Status` must not say `stored` of an entry that memory has no room for.
        config.max_entry = config.max_entry.min(memory.largest_body());
        let search_bytes = (config.memory / 64).clamp(1 << 10, 4 << 20);
        Self {
            memory,
            config,
            clock,
            seeds: Seeds::random(),
            generations: Generations::new(),
            prefix_purges: PrefixPurges::default(),
            flights: Arc::new(Flights::new()),
            hit_for_miss: HitForMiss::new(),
            counters: Counters::default(),
            second,
            search_rules: SearchRules::new((search_bytes / 256) as usize),
            observers: RwLock::default(),
        }
    }

    /// The canonical query by the last `No-Vary-Search` of this path.
    pub(crate) fn reduced_query(&self, target: &Target<'_>) -> Option<String> {
        self.search_rules.reduced(target, || target.path_hash(&self.seeds))
    }

    /// The largest body that is stored, as a length in memory.
    pub(crate) fn max_body(&self) -> usize {
        usize::try_from(self.config.max_entry).unwrap_or(usize::MAX)
    }
}
