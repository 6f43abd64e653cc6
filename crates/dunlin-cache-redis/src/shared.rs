//! [`Shared`].

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::pending::Pending;
use crate::stats::{Counters, Stats};

/// The state that the store's handles share with its thread.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) pending: Pending,
    /// `true` while a connection answers commands.
    pub(crate) connected: AtomicBool,
    /// `true` while invalidations of other instances arrive.
    pub(crate) listening: AtomicBool,
    pub(crate) counters: Counters,
}

// === impl Shared ===

impl Shared {
    /// Returns `true` if the server's entries can be used: it answers, and it knows of every
    /// invalidation of this instance.
    pub(crate) fn is_usable(&self) -> bool {
        self.connected.load(SeqCst) && self.pending.is_clear()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counters.read(self.connected.load(SeqCst), self.listening.load(SeqCst))
    }
}
