//! What a loop counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::reaper::Registry;

/// What a loop has counted, and how it stands.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LoopStats {
    /// Which loop.
    pub index: usize,
    /// Connections that are open.
    pub connections: usize,
    /// Those of them that are idle and hold no buffers.
    pub parked: usize,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Requests that were read, whoever answered them.
    pub requests: u64,
    /// Connections that ended because what came was no request.
    pub rejected: u64,
    /// Those of them whose head did not come in time.
    pub timed_out: u64,
    /// Connections that were closed at once because their client has too many.
    pub refused: u64,
    /// How often accepting had to wait because there were too many connections or too few descriptors.
    pub full: u64,
    /// Connections that this loop accepted and handed to one that had fewer.
    pub handed_over: u64,
    /// Upgraded connections that are open.
    pub tunnels: usize,
    /// Connections that were upgraded.
    pub tunnels_opened: u64,
    /// Requests for an upgrade that were answered 503, because there were too many tunnels.
    pub tunnels_refused: u64,
    /// Requests whose service panicked: each was answered 500, and its connection closed.
    pub panicked: u64,
}

/// The counters behind [`LoopStats`], but for those of the registry.
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
