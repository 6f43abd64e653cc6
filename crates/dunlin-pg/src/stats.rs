//! [`Stats`]: the figures of a database, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use dunlin_http::Metric;

use crate::error::Error;

/// The figures of a database since it was made, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The limit of open connections: the budget.
    pub budget: u64,
    /// Shared connections that are open.
    pub shared: u64,
    /// Other connections that are open.
    pub own: u64,
    /// The number of those that are at work.
    pub busy: u64,
    /// Statements and transactions that were sent.
    pub queries: u64,
    /// Reads that another identical one answered.
    pub joined: u64,
    /// Reads and transactions that were run again: a lost connection, a stale plan, a serialization
    /// failure.
    pub retried: u64,
    /// Requests that found no connection in time.
    pub exhausted: u64,
    /// Statements that were cancelled on the server, because their client was gone.
    pub cancelled: u64,
    /// Shared connections that were lost or given up.
    pub lost: u64,
    /// Errors by class.
    pub errors: ErrorCounts,
}

/// Errors by class. A class is the first two characters of an SQLSTATE (PostgreSQL, appendix A),
/// `connection` for a database that cannot be reached, `timeout` for one that did not answer in
/// time, and `other` for the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErrorCounts([u64; CLASSES.len()]);

const CLASSES: [&str; 32] = [
    "connection",
    "timeout",
    "other",
    "08",
    "0A",
    "21",
    "22",
    "23",
    "24",
    "25",
    "26",
    "28",
    "2B",
    "2D",
    "2F",
    "34",
    "38",
    "39",
    "3B",
    "3D",
    "3F",
    "40",
    "42",
    "44",
    "53",
    "54",
    "55",
    "57",
    "58",
    "F0",
    "P0",
    "XX",
];

/// The classes that a page of metrics has before the first error, so that a rate has a start.
const USUAL: [&str; 8] = ["connection", "timeout", "22", "23", "40", "42", "53", "57"];

// === impl Stats ===

impl Stats {
    /// The figures with their descriptions.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { budget, shared, own, busy, queries, joined, retried, exhausted, cancelled, lost, errors } = self;
        let counter = |name, help, value: &u64| Metric::counter(name, help, *value);
        let gauge = |name, help, value: &u64| Metric::gauge(name, help, *value as f64);
        let mut metrics = vec![
            gauge("dunlin_database_budget", "Limit of open connections.", budget),
            gauge("dunlin_database_shared", "Open connections that reads share.", shared),
            gauge("dunlin_database_own", "Open connections that one request has to itself.", own),
            gauge("dunlin_database_busy", "Open connections of one request that are at work.", busy),
            counter("dunlin_database_queries_total", "Statements and transactions that were sent.", queries),
            counter("dunlin_database_joined_total", "Reads answered by an identical one in flight.", joined),
            counter("dunlin_database_retried_total", "Statements and transactions that ran again.", retried),
            counter("dunlin_database_exhausted_total", "Requests that got no connection in time.", exhausted),
            counter("dunlin_database_cancelled_total", "Statements that were cancelled on the server.", cancelled),
            counter("dunlin_database_lost_total", "Shared connections that were lost.", lost),
        ];
        let shown = errors.iter().filter(|(class, count)| *count > 0 || USUAL.contains(class));
        metrics.extend(shown.map(|(class, count)| {
            counter("dunlin_database_errors_total", "Errors by class of SQLSTATE.", &count).label("class", class)
        }));
        metrics
    }
}

// === impl ErrorCounts ===

impl ErrorCounts {
    /// The classes with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        CLASSES.into_iter().zip(self.0)
    }

    /// The count of a class.
    #[must_use]
    pub fn get(&self, class: &str) -> u64 {
        self.iter().find(|(name, _)| *name == class).map_or(0, |(_, count)| count)
    }
}

impl Default for ErrorCounts {
    fn default() -> Self {
        Self([0; CLASSES.len()])
    }
}

impl std::fmt::Debug for ErrorCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter().filter(|(_, count)| *count > 0)).finish()
    }
}

/// The counts of one pool. Each has its own, so that event loops do not contend for them.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) queries: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) exhausted: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) lost: AtomicU64,
    errors: [AtomicU64; CLASSES.len()],
}

// === impl Counters ===

impl Counters {
    /// Counts an error of the database. What was refused before it was sent is none.
    pub(crate) fn failed(&self, error: &Error) {
        if let Some(class) = class(error) {
            let index = CLASSES.iter().position(|known| *known == class).unwrap_or(2);
            self.errors[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn add(&self, other: &Self) {
        let Self { queries, joined, retried, exhausted, cancelled, lost, errors } = self;
        let plain = [
            (queries, &other.queries),
            (joined, &other.joined),
            (retried, &other.retried),
            (exhausted, &other.exhausted),
            (cancelled, &other.cancelled),
            (lost, &other.lost),
        ];
        for (sum, more) in plain.into_iter().chain(errors.iter().zip(&other.errors)) {
            sum.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Adds the errors to a sum.
    pub(crate) fn add_errors_to(&self, sum: &mut ErrorCounts) {
        for (sum, more) in sum.0.iter_mut().zip(&self.errors) {
            *sum += more.load(Ordering::Relaxed);
        }
    }
}

fn class(error: &Error) -> Option<&str> {
    if let Some(reported) = error.as_db_error() {
        return reported.code().code().get(..2);
    }
    match error {
        Error::Unreachable(_) => Some("connection"),
        Error::Timeout(_) => Some("timeout"),
        Error::Database(_) if error.is_lost() => Some("connection"),
        Error::Database(_) => Some("other"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_class() {
        let counters = Counters::default();
        counters.failed(&Error::Unreachable("away".into()));
        counters.failed(&Error::Timeout(std::time::Duration::from_secs(1)));
        counters.failed(&Error::Exhausted);
        let mut sum = ErrorCounts::default();
        counters.add_errors_to(&mut sum);
        assert_eq!((sum.get("connection"), sum.get("timeout"), sum.get("other")), (1, 1, 0));
        assert_eq!(CLASSES[2], "other");
        assert!(USUAL.iter().all(|class| CLASSES.contains(class)));
    }
}
