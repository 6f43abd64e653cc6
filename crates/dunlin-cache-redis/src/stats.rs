//! What the store has counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
