//! [`Generations`]: the numbers of invalidations, so that a fill that began before one is never
//! stored (RFC 9875).
//!
//! One counter numbers all invalidations. Each key and each group has two places, which contain the
//! number of its last invalidation. Each entry has the number from when its fill began. An entry is
//! current unless one of its names has a higher number in both places. Names share places, so that
//! the memory is fixed. A name that shares both places with others loses entries without need, and
//! never keeps one that is invalid.

use std::sync::atomic::Ordering::SeqCst;

use crate::policy::key::KeyHash;
use crate::sync::{AtomicU64, SLOTS};

/// The numbers of the last invalidations.
#[derive(Debug)]
pub(crate) struct Generations {
    last: AtomicU64,
    /// The number of the last invalidation of everything.
    floor: AtomicU64,
    slots: Box<[AtomicU64]>,
}

/// The two places of a key's or a group's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u16, u16);

// === impl Generations ===

impl Generations {
    pub(crate) fn new() -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { last: AtomicU64::new(0), floor: AtomicU64::new(0), slots }
    }

    /// The number for a fill that begins now. It must be read before the origin is called.
    pub(crate) fn now(&self) -> u64 {
        self.last.load(SeqCst)
    }

    /// Invalidates all entries with any of these slots, and returns the number of the invalidation.
    /// Once it returns, no entry whose fill began before is current.
    pub(crate) fn invalidate(&self, slots: impl IntoIterator<Item = Slot>) -> u64 {
        let number = self.last.fetch_add(1, SeqCst) + 1;
        for slot in slots {
            for place in [slot.0, slot.1] {
                self.slots[usize::from(place)].fetch_max(number, SeqCst);
            }
        }
        number
    }

    /// Invalidates everything.
    pub(crate) fn flush(&self) {
        let number = self.last.fetch_add(1, SeqCst) + 1;
        self.floor.fetch_max(number, SeqCst);
    }

    /// Returns `true` if none of these slots was invalidated since.
    pub(crate) fn is_current(&self, since: u64, slots: &[Slot]) -> bool {
        // Usually nothing was invalidated, and the places, which lie far apart, need not be read.
        if self.last.load(SeqCst) <= since {
            return true;
        }
        let is_older = |place| self.slots[usize::from(place)].load(SeqCst) <= since;
        self.floor.load(SeqCst) <= since && slots.iter().all(|slot| is_older(slot.0) || is_older(slot.1))
    }
}

// === impl Slot ===

impl From<KeyHash> for Slot {
    fn from(hash: KeyHash) -> Self {
        Self((hash.0 >> 40) as u16, (hash.0 >> 104) as u16)
    }
}

impl From<u64> for Slot {
    fn from(hash: u64) -> Self {
        Self((hash >> 40) as u16, (hash >> 16) as u16)
    }
}
