//! What [`generations`](crate::generations) is made of: a test puts a scheduler's own in its place (`tests/it_schedules`).

pub(crate) use std::sync::atomic::AtomicU64;

/// 512 KiB. With 10,000 groups that are invalidated all the time, one entry in seven goes without need.
pub(crate) const SLOTS: usize = 1 << 16;
