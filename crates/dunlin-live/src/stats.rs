//! [`Stats`]: the figures of a hub.

use dunlin_http::{Counter, Metric};

/// The figures of a [`Hub`](crate::Hub).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Streams that are open.
    pub watchers: u64,
    /// Topics that have watchers.
    pub topics: u64,
    /// Looks.
    pub looks: u64,
    /// Looks that found the result as it was.
    pub unchanged: u64,
    /// Looks that failed.
    pub failed: u64,
    /// Events that were sent.
    pub events: u64,
    /// Events that a watcher did not get, because a newer one came before it had read the last one.
    pub skipped: u64,
}

/// The counts behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Streams that were opened.
    pub(crate) opened: Counter,
    /// Streams that have ended.
    pub(crate) closed: Counter,
    pub(crate) begun: Counter,
    pub(crate) ended: Counter,
    pub(crate) looks: Counter,
    pub(crate) unchanged: Counter,
    pub(crate) failed: Counter,
    pub(crate) events: Counter,
    pub(crate) skipped: Counter,
}

// === impl Stats ===

impl Stats {
    /// The figures as metrics.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { watchers, topics, looks, unchanged, failed, events, skipped } = *self;
        vec![
            Metric::gauge("dunlin_live_watchers", "Streams of events that are open.", watchers as f64),
            Metric::gauge("dunlin_live_topics", "Results that are watched.", topics as f64),
            Metric::counter("dunlin_live_looks_total", "Reads of watched results.", looks),
            Metric::counter("dunlin_live_unchanged_total", "Reads that found the result as it was.", unchanged),
            Metric::counter("dunlin_live_failed_total", "Reads of watched results that failed.", failed),
            Metric::counter("dunlin_live_events_total", "Events that were sent.", events),
            Metric::counter("dunlin_live_skipped_total", "Events that a newer one replaced unsent.", skipped),
        ]
    }
}

// === impl Counters ===

impl Counters {
    pub(crate) fn read(&self) -> Stats {
        // The ends are read first, so that no difference is negative.
        let (closed, ended) = (self.closed.get(), self.ended.get());
        Stats {
            watchers: self.opened.get().saturating_sub(closed),
            topics: self.begun.get().saturating_sub(ended),
            looks: self.looks.get(),
            unchanged: self.unchanged.get(),
            failed: self.failed.get(),
            events: self.events.get(),
            skipped: self.skipped.get(),
        }
    }
}
