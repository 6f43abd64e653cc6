//! What the store has counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dunlin_http::Metric;

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Whether the server is connected and answers.
    pub connected: bool,
    /// Whether what other instances invalidate is heard.
    pub listening: bool,
    /// Look-ups that found something good.
    pub hits: u64,
    /// Look-ups that found nothing, for whatever reason.
    pub misses: u64,
    /// Answers that the server keeps.
    pub kept: u64,
    /// Answers that the server did not keep because what they belong to was invalidated meanwhile.
    pub overtaken: u64,
    /// Answers and look-ups that were not even sent, as too much was on its way.
    pub dropped: u64,
    /// Commands that failed, or took too long.
    pub failures: u64,
    /// Invalidations that came from other instances.
    pub heard: u64,
    /// Times that invalidations may have been missed, so that the memory was emptied.
    pub gaps: u64,
}

// === impl Stats ===

impl Stats {
    /// The figures with their descriptions.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { connected, listening, hits, misses, kept, overtaken, dropped, failures, heard, gaps } = *self;
        let (counter, flag) = (Metric::counter, |flag| f64::from(u8::from(flag)));
        vec![
            Metric::gauge("dunlin_redis_connected", "1 if the second level answers.", flag(connected)),
            Metric::gauge("dunlin_redis_listening", "1 if invalidations of other instances arrive.", flag(listening)),
            counter("dunlin_redis_hits_total", "Look-ups that found a response.", hits),
            counter("dunlin_redis_misses_total", "Look-ups that found none.", misses),
            counter("dunlin_redis_kept_total", "Responses that were stored there.", kept),
            counter("dunlin_redis_overtaken_total", "Responses not stored: invalidated meanwhile.", overtaken),
            counter("dunlin_redis_dropped_total", "Commands not sent: too many were in flight.", dropped),
            counter("dunlin_redis_heard_total", "Invalidations of other instances.", heard),
            counter("dunlin_redis_failures_total", "Commands that failed or took too long.", failures),
            counter("dunlin_redis_gaps_total", "Times that the memory was emptied after lost notices.", gaps),
        ]
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) kept: Counter,
    pub(crate) overtaken: Counter,
    pub(crate) dropped: Counter,
    pub(crate) failures: Counter,
    pub(crate) heard: Counter,
    pub(crate) gaps: Counter,
}

/// A count that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

// === impl Counter ===

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

// === impl Counters ===

impl Counters {
    pub(crate) fn read(&self, connected: bool, listening: bool) -> Stats {
        Stats {
            connected,
            listening,
            hits: self.hits.get(),
            misses: self.misses.get(),
            kept: self.kept.get(),
            overtaken: self.overtaken.get(),
            dropped: self.dropped.get(),
            failures: self.failures.get(),
            heard: self.heard.get(),
            gaps: self.gaps.get(),
        }
    }
}
