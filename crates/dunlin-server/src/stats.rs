//! [`LoopStats`]: the figures of a loop.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dunlin_http::Metric;

use crate::reaper::Registry;

/// The counters and the present state of a loop.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LoopStats {
    /// The number of the loop, from 0.
    pub index: usize,
    /// Connections that are open.
    pub connections: usize,
    /// Open connections that are idle and hold no buffers.
    pub parked: usize,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Requests that reached the handler.
    pub requests: u64,
    /// Connections that ended because of a malformed request or preamble.
    pub rejected: u64,
    /// Connections that ended because the head of a request did not come in time.
    pub timed_out: u64,
    /// Connections that were closed at once because their client had too many.
    pub refused: u64,
    /// The number of times that accepting had to wait, because there were too many connections or
    /// too few descriptors.
    pub full: u64,
    /// Connections that this loop accepted and handed to one that had fewer.
    pub handed_over: u64,
    /// Upgraded connections that are open.
    pub tunnels: usize,
    /// Connections that were upgraded.
    pub tunnels_opened: u64,
    /// Requests for an upgrade that were answered 503, because there were too many tunnels.
    pub tunnels_refused: u64,
    /// Requests whose handler panicked. Each was answered 500, and its connection closed.
    pub panicked: u64,
}

// === impl LoopStats ===

impl LoopStats {
    /// Returns the figures with their descriptions. Each has a label with the number of the loop.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self {
            index,
            connections,
            parked,
            accepted,
            requests,
            rejected,
            timed_out,
            refused,
            full,
            handed_over,
            tunnels,
            tunnels_opened,
            tunnels_refused,
            panicked,
        } = *self;
        let counter = Metric::counter;
        let metrics = [
            Metric::gauge("dunlin_connections", "Open connections.", connections as f64),
            Metric::gauge("dunlin_connections_parked", "Idle connections that hold no buffers.", parked as f64),
            counter("dunlin_connections_accepted_total", "Connections accepted.", accepted),
            counter("dunlin_connections_rejected_total", "Connections ended by a malformed request.", rejected),
            counter("dunlin_connections_timed_out_total", "Connections ended because no head came in time.", timed_out),
            counter("dunlin_connections_refused_total", "Connections closed: their client has too many.", refused),
            counter("dunlin_connections_handed_over_total", "Connections given to a loop with fewer.", handed_over),
            Metric::gauge("dunlin_tunnels", "Open upgraded connections.", tunnels as f64),
            counter("dunlin_tunnels_opened_total", "Connections that were upgraded.", tunnels_opened),
            counter("dunlin_tunnels_refused_total", "Upgrades refused: there were too many.", tunnels_refused),
            counter("dunlin_panics_total", "Requests whose handler panicked.", panicked),
            counter("dunlin_accept_paused_total", "Times that accepting had to wait.", full),
            counter("dunlin_loop_requests_total", "Requests, by event loop.", requests),
        ];
        metrics.into_iter().map(|metric| metric.label("loop", index.to_string())).collect()
    }
}

/// The counters of a loop, without those of the registry.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    accepted: AtomicU64,
    rejected: AtomicU64,
    timed_out: AtomicU64,
    refused: AtomicU64,
    full: AtomicU64,
    handed_over: AtomicU64,
    tunnels_opened: AtomicU64,
    tunnels_refused: AtomicU64,
}

// === impl Stats ===

impl Stats {
    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    pub(crate) fn rejected(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    pub(crate) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn full(&self) {
        self.full.fetch_add(1, Relaxed);
    }

    pub(crate) fn handed_over(&self) {
        self.handed_over.fetch_add(1, Relaxed);
    }

    pub(crate) fn tunnel_opened(&self) {
        self.tunnels_opened.fetch_add(1, Relaxed);
    }

    pub(crate) fn tunnel_refused(&self) {
        self.tunnels_refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self, index: usize, registry: &Registry) -> LoopStats {
        let (requests, panicked) = registry.requests();
        LoopStats {
            index,
            connections: registry.len(),
            parked: registry.parked(),
            accepted: self.accepted.load(Relaxed),
            requests,
            rejected: self.rejected.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            refused: self.refused.load(Relaxed),
            full: self.full.load(Relaxed),
            handed_over: self.handed_over.load(Relaxed),
            tunnels: registry.tunnels(),
            tunnels_opened: self.tunnels_opened.load(Relaxed),
            tunnels_refused: self.tunnels_refused.load(Relaxed),
            panicked,
        }
    }
}
