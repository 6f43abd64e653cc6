//! [`Clock`]: the only module that reads the system's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A source of the time of day: the system's clock, or one that a test advances.
#[derive(Clone, Debug, Default)]
pub struct Clock(
    /// The nanoseconds since 1970 of a manual clock.
    Option<Arc<AtomicU64>>,
);

// === impl Clock ===

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stays at `start` until [`Clock::advance`] is called. Clones share its time.
    #[must_use]
    pub fn manual(start: SystemTime) -> Self {
        let since = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(Some(Arc::new(AtomicU64::new(since.as_nanos() as u64))))
    }

    /// The time now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the clock module")]
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            None => SystemTime::now(),
            Some(nanos) => SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos.load(Ordering::Acquire)),
        }
    }

    /// Advances a manual clock. It has no effect on the system's.
    pub fn advance(&self, by: Duration) {
        if let Some(nanos) = &self.0 {
            nanos.fetch_add(by.as_nanos() as u64, Ordering::AcqRel);
        }
    }
}
