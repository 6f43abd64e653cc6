//! [`Ticks`]: the coarse clock of a loop.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Milliseconds since the loop began.
pub(crate) type Tick = u32;

/// The coarse clock of a loop. The reaper sets it many times a second, and reading it costs one
/// load.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    now: AtomicU32,
    seconds: AtomicU64,
}

// === impl Ticks ===

impl Ticks {
    pub(crate) fn now(&self) -> Tick {
        self.now.load(Relaxed)
    }

    /// The time of day, in seconds since 1970.
    pub(crate) fn seconds(&self) -> u64 {
        self.seconds.load(Relaxed)
    }

    pub(crate) fn set(&self, now: Tick, seconds: u64) {
        self.now.store(now, Relaxed);
        self.seconds.store(seconds, Relaxed);
    }
}
