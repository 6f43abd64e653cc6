//! [`BodyId`]: a name for bytes that are handed out again.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// A name for immutable bytes that are handed out again and again, unique in this process.
///
/// Whoever keeps such bytes, a cache or a table of files, makes one id with them and answers with
/// [`Body::identified`](crate::Body::identified). Whoever derives something from them, a
/// compression layer, keeps it under the id. Neither needs to know the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyId(NonZeroU64);

// === impl BodyId ===

impl BodyId {
    /// A new id, never given out before in this process.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "two defaults would differ")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // 2^64 ids outlast the machine, so the count never comes to zero.
        Self(NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU64::MAX))
    }
}
