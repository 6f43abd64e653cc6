//! The parts of [`generations`](crate::generations) that `tests/it_schedules` replaces by those of
//! a scheduler.

pub(crate) use std::sync::atomic::AtomicU64;

/// The number of slots, which take 512 KiB. With 10,000 names that are invalidated all the time, 7
/// % of the other names are invalidated with them; with 1,000 names, 0.1 %.
pub(crate) const SLOTS: usize = 1 << 16;
