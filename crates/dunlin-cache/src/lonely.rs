//! Keys whose last answer could not be shared: their requests do not wait for each other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use crate::policy::key::KeyHash;

const SLOTS: usize = 1 << 14;
/// For how long a key is remembered, in seconds.
const SECONDS: u64 = 120;
const TIME_BITS: u32 = 24;

/// A table of fixed size; keys that meet in a slot take it from each other.
#[derive(Debug)]
pub(crate) struct Lonely(Box<[AtomicU64]>);

// === impl Lonely ===

impl Lonely {
    pub(crate) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Remembers that this key's answers are not to be shared.
    pub(crate) fn add(&self, key: KeyHash, now: SystemTime) {
        self.slot(key).store(tag(key) | ((seconds(now) + SECONDS) & ((1 << TIME_BITS) - 1)), Relaxed);
    }

    /// Forgets a key: its answer was shared.
    pub(crate) fn remove(&self, key: KeyHash) {
        let slot = self.slot(key);
        if slot.load(Relaxed) & !((1 << TIME_BITS) - 1) == tag(key) {
            slot.store(0, Relaxed);
        }
    }

    /// Whether this key's requests are not to wait for each other.
    pub(crate) fn has(&self, key: KeyHash, now: SystemTime) -> bool {
        let held = self.slot(key).load(Relaxed);
        let left = (held & ((1 << TIME_BITS) - 1)).wrapping_sub(seconds(now)) & ((1 << TIME_BITS) - 1);
        held & !((1 << TIME_BITS) - 1) == tag(key) && (1..=SECONDS).contains(&left)
    }

    fn slot(&self, key: KeyHash) -> &AtomicU64 {
        &self.0[key.0 as usize % SLOTS]
    }
}

fn tag(key: KeyHash) -> u64 {
    (key.0 >> 64) as u64 & !((1 << TIME_BITS) - 1)
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_is_remembered_for_a_while() {
        let lonely = Lonely::new();
        let (key, other) = (KeyHash((7 << 100) | 1), KeyHash((8 << 100) | 1));
        // Across the end of what 24 bits count.
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs((1 << 24) - 60 + seconds);
        lonely.add(key, at(0));
        assert!(lonely.has(key, at(0)) && lonely.has(key, at(119)));
        assert!(!lonely.has(key, at(121)) && !lonely.has(other, at(0)));
        lonely.remove(other);
        assert!(lonely.has(key, at(0)));
        lonely.remove(key);
        assert!(!lonely.has(key, at(0)));
    }
}
