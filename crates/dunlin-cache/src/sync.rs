//! What [`generations`](crate::generations) is made of: a test puts a scheduler's own in its place
//! (`tests/it_schedules`).

pub(crate) use std::sync::atomic::AtomicU64;

/// 512 KiB. With 10,000 names that are invalidated all the time, 7 in 100 other names go without
/// need; with 1,000, one in 1,000.
pub(crate) const SLOTS: usize = 1 << 16;
