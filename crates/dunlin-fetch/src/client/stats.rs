//! [`ClientStats`]: the counters of a client.

use std::sync::atomic::{AtomicUsize, Ordering};

use dunlin_http::Metric;

/// The counters of a client, since it was made.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(super) opened: AtomicUsize,
    pub(super) idle: AtomicUsize,
    pub(crate) requests: AtomicUsize,
    pub(super) retries: AtomicUsize,
    pub(crate) failures: AtomicUsize,
    pub(crate) tunnels: AtomicUsize,
    pub(crate) open_tunnels: AtomicUsize,
}

/// The requests and connections of a client so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Requests sent, without retries.
    pub requests: usize,
    /// Requests that were sent again because an idle connection had been closed.
    pub retries: usize,
    /// Connections opened.
    pub opened: usize,
    /// Connections that are idle at present.
    pub idle: usize,
    /// Requests that failed, for any reason.
    pub failures: usize,
    /// Connections that changed to another protocol.
    pub tunnels: usize,
    /// Tunnels that are open at present.
    pub open_tunnels: usize,
}

// === impl Stats ===

impl Stats {
    /// Adds one to `counter`.
    pub(crate) fn count(counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The current values.
    pub(super) fn snapshot(&self) -> ClientStats {
        let get = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        ClientStats {
            requests: get(&self.requests),
            retries: get(&self.retries),
            opened: get(&self.opened),
            idle: get(&self.idle),
            failures: get(&self.failures),
            tunnels: get(&self.tunnels),
            open_tunnels: get(&self.open_tunnels),
        }
    }
}

// === impl ClientStats ===

impl ClientStats {
    /// The figures with their descriptions.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { requests, retries, opened, idle, failures, tunnels, open_tunnels } = *self;
        let counter = |name, help, value: usize| Metric::counter(name, help, value as u64);
        vec![
            counter("dunlin_fetch_requests_total", "Requests to upstreams, retries not counted.", requests),
            counter("dunlin_fetch_retries_total", "Requests sent again: a kept connection was closed.", retries),
            counter("dunlin_fetch_opened_total", "Connections to upstreams that were opened.", opened),
            Metric::gauge("dunlin_fetch_idle", "Connections to upstreams that are kept unused.", idle as f64),
            counter("dunlin_fetch_failures_total", "Requests to upstreams that failed.", failures),
            Metric::gauge("dunlin_fetch_tunnels", "Tunnels to upstreams that are open.", open_tunnels as f64),
            counter("dunlin_fetch_tunnels_total", "Connections that changed to another protocol.", tunnels),
        ]
    }
}
