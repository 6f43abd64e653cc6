//! [`Stats`]: what a database did, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a database did since it was made, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The most connections: the budget.
    pub budget: u64,
    /// Shared connections that are open.
    pub shared: u64,
    /// Other connections that are open.
    pub own: u64,
    /// How many of those are at work.
    pub busy: u64,
    /// Statements and transactions that were run.
    pub queries: u64,
    /// Reads that were answered by another one's.
    pub joined: u64,
    /// Reads and transactions that were run again: a lost connection, a stale plan, a serialization failure.
    pub retried: u64,
    /// Requests that found no connection in time.
    pub exhausted: u64,
    /// Statements that were cancelled on the server, since nobody waited for them.
    pub cancelled: u64,
    /// Shared connections that were lost or given up.
    pub lost: u64,
}

/// What one pool did. Each has counts of its own, so that event loops do not contend for them.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) queries: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) exhausted: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) lost: AtomicU64,
}

// === impl Counters ===

impl Counters {
    pub(crate) fn add(&self, other: &Self) {
        let Self { queries, joined, retried, exhausted, cancelled, lost } = self;
        for (sum, more) in [
            (queries, &other.queries),
            (joined, &other.joined),
            (retried, &other.retried),
            (exhausted, &other.exhausted),
            (cancelled, &other.cancelled),
            (lost, &other.lost),
        ] {
            sum.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}
