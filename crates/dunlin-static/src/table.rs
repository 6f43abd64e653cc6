//! [`Table`]: the files that are known, by path, bounded in bytes.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};

use crate::entry::Entry;

/// Files by path. Readers take one lock of many, shared; when there is too much, those that nobody
/// asked for since the last sweep go first (the CLOCK algorithm).
pub(crate) struct Table {
    shards: [Shard; SHARDS],
    hasher: RandomState,
    sweep: Mutex<Sweep>,
    limit: usize,
}

/// On a cache line of its own, so that readers of one shard do not slow down those of another.
#[repr(align(128))]
#[derive(Default)]
struct Shard(RwLock<HashMap<Arc<str>, Arc<Entry>, RandomState>>);

/// Every path in the table, in the order of the sweep, and what all of them weigh.
#[derive(Default)]
struct Sweep {
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

const SHARDS: usize = 16;

// === impl Table ===

impl Table {
    pub(crate) fn new(limit: usize) -> Self {
        Self { shards: Default::default(), hasher: RandomState::default(), sweep: Mutex::default(), limit }
    }

    fn shard(&self, path: &str) -> &Shard {
        // The high bits: the maps inside use the low ones.
        &self.shards[(self.hasher.hash_one(path) >> 60) as usize % SHARDS]
    }

    /// Looks at an entry without taking a share in it.
    pub(crate) fn with<T>(&self, path: &str, look: impl FnOnce(&Entry) -> T) -> Option<T> {
        let shard = self.shard(path).0.read();
        let entry = shard.get(path)?;
        entry.mark_used();
        Some(look(entry))
    }

    pub(crate) fn get(&self, path: &str) -> Option<Arc<Entry>> {
        let entry = self.shard(path).0.read().get(path).map(Arc::clone)?;
        entry.mark_used();
        Some(entry)
    }

    /// Puts an entry in, in place of the one that was there.
    pub(crate) fn insert(&self, path: &str, entry: Arc<Entry>) {
        let weight = entry.weight();
        if weight > self.limit {
            return self.remove(path);
        }
        let mut sweep = self.sweep.lock();
        let path: Arc<str> = path.into();
        let old = self.shard(&path).0.write().insert(Arc::clone(&path), entry);
        sweep.bytes += weight;
        match old {
            Some(old) => sweep.bytes -= old.weight(),
            None => sweep.order.push_back(path),
        }
        self.make_room(&mut sweep);
    }

    /// Puts an entry in the place of one that weighs the same, if that is still there.
    pub(crate) fn replace(&self, path: &str, old: &Arc<Entry>, new: &Arc<Entry>) {
        let mut shard = self.shard(path).0.write();
        if let Some(entry) = shard.get_mut(path).filter(|entry| Arc::ptr_eq(entry, old)) {
            *entry = Arc::clone(new);
        }
    }

    /// Takes an entry out. Its place in the order goes with the next sweep.
    pub(crate) fn remove(&self, path: &str) {
        // What is missing is asked for too, and most of it was never here.
        if !self.shard(path).0.read().contains_key(path) {
            return;
        }
        let mut sweep = self.sweep.lock();
        if let Some((path, old)) = self.shard(path).0.write().remove_entry(path) {
            sweep.bytes -= old.weight();
            sweep.order.retain(|other| !Arc::ptr_eq(other, &path));
        }
    }

    /// How many files it has, and what they weigh in bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sweep = self.sweep.lock();
        (sweep.order.len(), sweep.bytes)
    }

    fn make_room(&self, sweep: &mut Sweep) {
        // Twice round finds something: the first time every path loses its mark.
        let mut steps = 2 * sweep.order.len();
        while sweep.bytes > self.limit && steps > 0 {
            steps -= 1;
            let Some(path) = sweep.order.pop_front() else { return };
            let mut shard = self.shard(&path).0.write();
            let Some(entry) = shard.get(&path) else { continue };
            if entry.used.swap(false, Ordering::Relaxed) {
                sweep.order.push_back(path);
            } else if let Some(old) = shard.remove(&path) {
                sweep.bytes -= old.weight();
            }
        }
    }
}
