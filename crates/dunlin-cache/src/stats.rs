//! What a cache has counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dunlin_http::Metric;

/// What a cache has done since it was made, and what it holds. See
/// [`Cache::stats`](crate::Cache::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests answered from what was stored, without asking the origin.
    pub hits: u64,
    /// Of these, the ones answered with what was stale.
    pub stale: u64,
    /// Requests for which the origin was asked.
    pub misses: u64,
    /// Requests that waited for another's fill and were answered by it.
    pub collapsed: u64,
    /// Requests that the cache was not to handle.
    pub bypassed: u64,
    /// Answers of the origin that told that what was stored is still good.
    pub validated: u64,
    /// Answers that were stored.
    pub stored: u64,
    /// Fills that were not kept because what they belong to was invalidated meanwhile.
    pub overtaken: u64,
    /// Invalidations: by group, by URL, of all.
    pub invalidations: u64,
    /// Of the misses, the ones answered from the second level.
    pub shared: u64,
    /// Failures of the second level.
    pub store_failures: u64,
    /// Keys in memory.
    pub keys: u64,
    /// Bytes in memory.
    pub bytes: u64,
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
            counter("dunlin_cache_misses_total", "Requests for which the origin was asked.", misses),
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

/// A count that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

// === impl Counter ===

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

// === impl Counters ===

impl Counters {
    pub(crate) fn read(&self, (keys, bytes): (u64, u64)) -> Stats {
        let of = |counter: &Counter| counter.0.load(Relaxed);
        Stats {
            hits: of(&self.hits),
            stale: of(&self.stale),
            misses: of(&self.misses),
            collapsed: of(&self.collapsed),
            bypassed: of(&self.bypassed),
            validated: of(&self.validated),
            stored: of(&self.stored),
            overtaken: of(&self.overtaken),
            invalidations: of(&self.invalidations),
            shared: of(&self.shared),
            store_failures: of(&self.store_failures),
            keys,
            bytes,
        }
    }
}
