//! [`BodyId`]: a number that stands for immutable bytes.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that stands for immutable bytes. It is unique in this process.
///
/// A store of such bytes makes one id for them, and responds with
/// [`Body::identified`](crate::Body::identified). A compression layer keeps their encodings under
/// the id. Neither needs to know the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyId(NonZeroU64);

// === impl BodyId ===

impl BodyId {
    /// Makes an id that is new in this process.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "two defaults would differ")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // A process never makes 2^64 ids, so the counter does not wrap.
        Self(NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU64::MAX))
    }

    /// The number. Ids are counted from one.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}
