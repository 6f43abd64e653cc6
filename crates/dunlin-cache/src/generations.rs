//! Generations: what was invalidated when, so that a fill that began before is never kept (RFC
//! 9875).
//!
//! One counter numbers all invalidations. Each key and each group has two places that hold the
//! number of its last one, and each entry the number that stood when its fill began: an entry is
//! good while no name of it has a higher one in both its places. Names share places, so that the
//! memory is fixed whatever comes; who meets others in both only loses an entry that could have
//! stayed.

use std::sync::atomic::Ordering::SeqCst;

use crate::policy::key::KeyHash;
use crate::sync::{AtomicU64, SLOTS};

/// The numbers of the last invalidations.
#[derive(Debug)]
pub(crate) struct Generations {
    last: AtomicU64,
    /// Entries from before this number are gone, all of them.
    floor: AtomicU64,
    slots: Box<[AtomicU64]>,
}

/// The two places where a key's or a group's number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u16, u16);

// === impl Generations ===

impl Generations {
    pub(crate) fn new() -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { last: AtomicU64::new(0), floor: AtomicU64::new(0), slots }
    }

    /// The number to keep for a fill that begins now. Take it before anything is asked of the
    /// origin.
    pub(crate) fn now(&self) -> u64 {
        self.last.load(SeqCst)
    }

    /// Invalidates what has any of these slots. What began before this call is good no more when it
    /// returns.
    pub(crate) fn invalidate(&self, slots: impl IntoIterator<Item = Slot>) {
        let number = self.last.fetch_add(1, SeqCst) + 1;
        for slot in slots {
            for place in [slot.0, slot.1] {
                self.slots[usize::from(place)].fetch_max(number, SeqCst);
            }
        }
    }

    /// Invalidates everything.
    pub(crate) fn flush(&self) {
        let number = self.last.fetch_add(1, SeqCst) + 1;
        self.floor.fetch_max(number, SeqCst);
    }

    /// Whether nothing of these slots was invalidated since.
    pub(crate) fn is_current(&self, since: u64, slots: &[Slot]) -> bool {
        // Most often nothing at all was, and the places need not be looked at, which lie far apart.
        if self.last.load(SeqCst) <= since {
            return true;
        }
        let stands = |place| self.slots[usize::from(place)].load(SeqCst) <= since;
        self.floor.load(SeqCst) <= since && slots.iter().all(|slot| stands(slot.0) || stands(slot.1))
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
