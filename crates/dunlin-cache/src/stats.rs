//! [`Stats`].

use dunlin_http::{Counter, Metric};

use crate::memory::MemorySize;

/// The counts of a cache since it was made, and the size of its memory; see
/// [`Cache::stats`](crate::Cache::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that were answered without the origin.
    pub hits: u64,
    /// Hits that were answered with a stale response.
    pub stale: u64,
    /// Requests that needed the origin or the second level.
    pub misses: u64,
    /// Requests that another request's fill answered.
    pub collapsed: u64,
    /// Requests that the cache does not handle.
    pub bypassed: u64,
    /// Stored responses that the origin confirmed with 304.
    pub validated: u64,
    /// Responses that were stored.
    pub stored: u64,
    /// Fills that were not stored, because an invalidation overtook them.
    pub overtaken: u64,
    /// Invalidations of any kind.
    pub invalidations: u64,
    /// Misses that the second level answered.
    pub shared: u64,
    /// Failures of the second level.
    pub store_failures: u64,
    /// Keys in memory.
    pub keys: u64,
    /// Bytes in memory.
    pub bytes: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) stale: Counter,
    pub(crate) misses: Counter,
    pub(crate) collapsed: Counter,
    pub(crate) bypassed: Counter,
    pub(crate) validated: Counter,
    pub(crate) stored: Counter,
    pub(crate) overtaken: Counter,
    pub(crate) invalidations: Counter,
    pub(crate) shared: Counter,
    pub(crate) store_failures: Counter,
}

// === impl Stats ===

impl Stats {
    /// The figures with their descriptions.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self {
            hits,
            stale,
            misses,
            collapsed,
            bypassed,
            validated,
            stored,
            overtaken,
            invalidations,
            shared,
            store_failures,
            keys,
            bytes,
        } = *self;
        let counter = Metric::counter;
        vec![
            counter("dunlin_cache_hits_total", "Requests answered from the cache.", hits),
            counter("dunlin_cache_stale_hits_total", "Hits that were answered with a stale response.", stale),
            counter("dunlin_cache_misses_total", "Requests that the memory could not answer.", misses),
            counter("dunlin_cache_collapsed_total", "Requests answered by another request's fill.", collapsed),
            counter("dunlin_cache_bypassed_total", "Requests that are not for the cache.", bypassed),
            counter("dunlin_cache_validated_total", "Stored responses that the origin confirmed.", validated),
            counter("dunlin_cache_stored_total", "Responses that were stored.", stored),
            counter("dunlin_cache_overtaken_total", "Fills that an invalidation overtook.", overtaken),
            counter("dunlin_cache_invalidations_total", "Invalidations.", invalidations),
            counter("dunlin_cache_shared_total", "Misses that the second level answered.", shared),
            counter("dunlin_cache_store_failures_total", "Failures of the second level.", store_failures),
            Metric::gauge("dunlin_cache_keys", "Keys in memory.", keys as f64),
            Metric::gauge("dunlin_cache_bytes", "Bytes in memory.", bytes as f64),
        ]
    }
}

// === impl Counters ===

impl Counters {
    pub(crate) fn read(&self, memory: MemorySize) -> Stats {
        Stats {
            hits: self.hits.get(),
            stale: self.stale.get(),
            misses: self.misses.get(),
            collapsed: self.collapsed.get(),
            bypassed: self.bypassed.get(),
            validated: self.validated.get(),
            stored: self.stored.get(),
            overtaken: self.overtaken.get(),
            invalidations: self.invalidations.get(),
            shared: self.shared.get(),
            store_failures: self.store_failures.get(),
            keys: memory.keys,
            bytes: memory.bytes,
        }
    }
}
