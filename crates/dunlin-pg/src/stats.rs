//! [`Stats`]: what a database did, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use dunlin_http::Metric;

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
    /// Reads and transactions that were run again: a lost connection, a stale plan, a serialization
    /// failure.
    pub retried: u64,
    /// Requests that found no connection in time.
    pub exhausted: u64,
    /// Statements that were cancelled on the server, since nobody waited for them.
    pub cancelled: u64,
    /// Shared connections that were lost or given up.
    pub lost: u64,
}

// === impl Stats ===

impl Stats {
    /// The figures with their descriptions.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { budget, shared, own, busy, queries, joined, retried, exhausted, cancelled, lost } = *self;
        let (counter, gauge) = (Metric::counter, |name, help, value| Metric::gauge(name, help, value as f64));
        vec![
            gauge("dunlin_database_budget", "Limit of open connections.", budget),
            gauge("dunlin_database_shared", "Open connections that reads share.", shared),
            gauge("dunlin_database_own", "Open connections that one request has to itself.", own),
            gauge("dunlin_database_busy", "Open connections of one request that are at work.", busy),
            counter("dunlin_database_queries_total", "Statements and transactions.", queries),
            counter("dunlin_database_joined_total", "Reads answered by an identical one in flight.", joined),
            counter("dunlin_database_retried_total", "Statements and transactions that ran again.", retried),
            counter("dunlin_database_exhausted_total", "Requests that got no connection in time.", exhausted),
            counter("dunlin_database_cancelled_total", "Statements that were cancelled on the server.", cancelled),
            counter("dunlin_database_lost_total", "Shared connections that were lost.", lost),
        ]
    }
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
