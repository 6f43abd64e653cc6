//! [`Pending`]: the count of a request that is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts a request until it is dropped.
#[derive(Debug)]
pub(crate) struct Pending(Arc<AtomicUsize>);

// === impl Pending ===

impl Pending {
    /// Adds one to `count`, until this is dropped.
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }

    /// As [`Pending::new`], unless there would be more than `max`.
    pub(crate) fn within(count: &Arc<AtomicUsize>, max: Option<usize>) -> Option<Self> {
        let pending = Self::new(count);
        (max.is_none_or(|max| count.load(Ordering::Relaxed) <= max)).then_some(pending)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
