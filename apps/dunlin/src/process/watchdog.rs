//! [`Watchdog`]: signs of life for the service manager, as long as every event loop turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dunlin_server::Handle;

use super::Manager;

/// The beats of the event loops. Without a watchdog of the service manager, there are none.
#[derive(Clone, Debug)]
pub(crate) struct Watchdog(Option<Arc<Beats>>);

#[derive(Debug)]
struct Beats {
    /// The time in which the manager expects a sign of life.
    limit: Duration,
    /// The beats of each loop since the start.
    loops: Vec<AtomicU64>,
}

// === impl Watchdog ===

impl Watchdog {
    /// Reads `$WATCHDOG_USEC` and `$WATCHDOG_PID`.
    pub(crate) fn new(loops: usize) -> Self {
        let beats = |limit| Arc::new(Beats { limit, loops: (0..loops).map(|_| AtomicU64::new(0)).collect() });
        Self(sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()).map(beats))
    }

    /// Begins the beats of a loop, on the runtime of this loop.
    pub(crate) fn begin(&self, index: usize) {
        let Some(beats) = self.0.clone() else { return };
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(beats.limit / 4);
            while let Some(count) = beats.loops.get(index) {
                ticks.tick().await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Sends signs of life while every loop beats. While the service stops, loops end one by one,
    /// so they are not asked any more.
    pub(crate) fn run(&self, server: Handle) {
        let Some(beats) = self.0.clone() else { return };
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(beats.limit / 2);
            let mut before = Vec::new();
            loop {
                ticks.tick().await;
                let now: Vec<u64> = beats.loops.iter().map(|count| count.load(Ordering::Relaxed)).collect();
                let stuck = now.iter().zip(&before).position(|(now, before)| now == before);
                match stuck.filter(|_| !server.is_stopping()) {
                    None => Manager.alive(),
                    Some(index) => {
                        tracing::error!(index, "an event loop does not turn, so the watchdog gets no sign of life");
                    }
                }
                before = now;
            }
        });
    }
}
