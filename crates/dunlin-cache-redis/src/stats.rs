//! [`Stats`].

use dunlin_http::{Counter, Metric};

/// The counts of a store since it was opened, and the state of its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// `true` if the server is connected and answers.
    pub connected: bool,
    /// `true` if invalidations of other instances arrive.
    pub listening: bool,
    /// Look-ups that found a valid entry.
    pub hits: u64,
    /// Look-ups that found none, for any reason.
    pub misses: u64,
    /// Entries that the server has stored.
    pub kept: u64,
    /// Entries that the server refused, because an invalidation overtook their fill.
    pub overtaken: u64,
    /// Commands that were not sent, because too much was in flight.
    pub dropped: u64,
    /// Commands that failed or timed out.
    pub failures: u64,
    /// Invalidations of other instances that arrived.
    pub received: u64,
    /// Times that the memory was emptied, because invalidations may have been lost.
    pub gaps: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) kept: Counter,
    pub(crate) overtaken: Counter,
    pub(crate) dropped: Counter,
    pub(crate) failures: Counter,
    pub(crate) received: Counter,
    pub(crate) gaps: Counter,
}

// === impl Stats ===

impl Stats {
    /// The figures with their descriptions.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { connected, listening, hits, misses, kept, overtaken, dropped, failures, received, gaps } = *self;
        let (counter, flag) = (Metric::counter, |flag| f64::from(u8::from(flag)));
        vec![
            Metric::gauge("dunlin_redis_connected", "1 if the second level answers.", flag(connected)),
            Metric::gauge("dunlin_redis_listening", "1 if invalidations of other instances arrive.", flag(listening)),
            counter("dunlin_redis_hits_total", "Look-ups that found a response.", hits),
            counter("dunlin_redis_misses_total", "Look-ups that found none.", misses),
            counter("dunlin_redis_kept_total", "Responses that were stored there.", kept),
            counter("dunlin_redis_overtaken_total", "Responses not stored: invalidated meanwhile.", overtaken),
            counter("dunlin_redis_dropped_total", "Commands not sent: too many were in flight.", dropped),
            counter("dunlin_redis_heard_total", "Invalidations of other instances.", received),
            counter("dunlin_redis_failures_total", "Commands that failed or took too long.", failures),
            counter("dunlin_redis_gaps_total", "Times that the memory was emptied after lost notices.", gaps),
        ]
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
            received: self.received.get(),
            gaps: self.gaps.get(),
        }
    }
}
