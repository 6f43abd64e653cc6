//! [`Table`]: the buckets of many keys, in a fixed amount of memory.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

/// The slots of a set. A set has two or three cache lines.
const WAYS: usize = 8;

/// A set-associative table from keys to the times at which their buckets are full again.
///
/// A key whose set has no free slot replaces the key whose bucket is full first. A full bucket
/// equals no bucket, so nothing is lost unless all keys of a set are in use. Then the least used
/// one gets a full bucket again.
///
/// Keys are compared by 64 bits of a hash with a random seed, so that no client can find a key that
/// shares its bucket with another.
#[derive(Debug)]
pub(crate) struct Table {
    sets: Box<[Mutex<[Slot; WAYS]>]>,
    hasher: RandomState,
}

/// The bucket of one key.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    full_at: u64,
}

// === impl Table ===

impl Table {
    /// Makes a table for at least `capacity` keys.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).max(1).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect(), hasher: RandomState::default() }
    }

    /// Calls `decide` with the time at which the bucket of `key` is full, and stores the time that
    /// it returns. The bucket of an unknown key is full.
    pub(crate) fn update<R>(&self, key: &[u8], decide: impl FnOnce(u64) -> (Option<u64>, R)) -> R {
        let hash = self.hasher.hash_one(key);
        // The upper bits choose the set. All bits are compared within it.
        let index = (hash >> 32) as usize & (self.sets.len() - 1);
        let mut set = self.sets[index].lock();
        let slot = match set.iter().position(|slot| slot.key == hash) {
            Some(slot) => slot,
            None => (0..WAYS).min_by_key(|slot| set[*slot].full_at).unwrap_or(0),
        };
        let full_at = if set[slot].key == hash { set[slot].full_at } else { 0 };
        let (kept, result) = decide(full_at);
        if let Some(full_at) = kept {
            set[slot] = Slot { key: hash, full_at };
        }
        result
    }

    /// The bytes of the table, which never change.
    pub(crate) fn bytes(&self) -> usize {
        self.sets.len() * size_of::<Mutex<[Slot; WAYS]>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(table: &Table, key: u64, full_at: u64) -> u64 {
        table.update(&key.to_le_bytes(), |before| (Some(full_at), before))
    }

    #[test]
    fn keys_have_buckets_of_their_own() {
        let table = Table::new(1000);
        for key in 0..100 {
            assert_eq!(set(&table, key, key + 1), 0);
        }
        for key in 0..100 {
            assert_eq!(set(&table, key, 0), key + 1);
        }
    }

    #[test]
    fn a_refusal_changes_nothing() {
        let table = Table::new(8);
        set(&table, 1, 7);
        assert_eq!(table.update(&1_u64.to_le_bytes(), |full_at| (None, full_at)), 7);
        assert_eq!(set(&table, 1, 7), 7);
    }

    #[test]
    fn a_key_in_use_keeps_its_slot_among_a_million_others() {
        let table = Table::new(64);
        let bytes = table.bytes();
        set(&table, 0, u64::MAX);
        for key in 1..1_000_000 {
            set(&table, key, key);
        }
        assert_eq!(set(&table, 0, u64::MAX), u64::MAX);
        assert!(table.bytes() == bytes && bytes <= 64 * 24, "{bytes}");
    }
}
