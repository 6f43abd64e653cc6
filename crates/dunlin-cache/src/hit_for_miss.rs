//! [`HitForMiss`]: keys whose last response could not be shared, so that their requests are not
//! collapsed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use crate::policy::key::KeyHash;

const SLOTS: usize = 1 << 14;
/// The time for which a key is remembered, in seconds.
const SECONDS: u64 = 120;
/// The low bits of a slot contain the end of that time; the others a part of the key's hash.
const TIME_BITS: u32 = 24;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// A table of fixed size. A key replaces the one in its slot.
#[derive(Debug)]
pub(crate) struct HitForMiss(Box<[AtomicU64]>);

// === impl HitForMiss ===

impl HitForMiss {
    pub(crate) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Remembers that the responses of a key cannot be shared.
    pub(crate) fn add(&self, key: KeyHash, now: SystemTime) {
        self.slot(key).store(tag(key) | ((seconds(now) + SECONDS) & TIME_MASK), Relaxed);
    }

    /// Forgets a key, because its last response could be shared.
    pub(crate) fn remove(&self, key: KeyHash) {
        let slot = self.slot(key);
        if slot.load(Relaxed) & !TIME_MASK == tag(key) {
            slot.store(0, Relaxed);
        }
    }

    /// Returns `true` if the requests of a key are not to be collapsed.
    pub(crate) fn contains(&self, key: KeyHash, now: SystemTime) -> bool {
        let value = self.slot(key).load(Relaxed);
        let left = (value & TIME_MASK).wrapping_sub(seconds(now)) & TIME_MASK;
        value & !TIME_MASK == tag(key) && (1..=SECONDS).contains(&left)
    }

    fn slot(&self, key: KeyHash) -> &AtomicU64 {
        &self.0[key.0 as usize % SLOTS]
    }
}

fn tag(key: KeyHash) -> u64 {
    (key.0 >> 64) as u64 & !TIME_MASK
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_is_remembered_for_two_minutes() {
        let table = HitForMiss::new();
        let (key, other) = (KeyHash((7 << 100) | 1), KeyHash((8 << 100) | 1));
        // The time wraps around within the test.
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs((1 << 24) - 60 + seconds);
        table.add(key, at(0));
        assert!(table.contains(key, at(0)) && table.contains(key, at(119)));
        assert!(!table.contains(key, at(121)) && !table.contains(other, at(0)));
        table.remove(other);
        assert!(table.contains(key, at(0)));
        table.remove(key);
        assert!(!table.contains(key, at(0)));
    }
}
