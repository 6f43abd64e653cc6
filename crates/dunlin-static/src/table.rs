//! [`Table`]: the entries of files by path, with a limit in bytes.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};

use crate::entry::Entry;

/// Entries by path. A reader takes one lock of many, shared. If the entries outgrow the limit,
/// those without a request since the last sweep are removed first (the CLOCK algorithm).
pub(crate) struct Table {
    shards: [Shard; SHARDS],
    hasher: RandomState,
    sweep: Mutex<Sweep>,
    limit: usize,
}

/// A part of the table, on a cache line of its own, so that readers of one shard do not slow down
/// those of another.
#[repr(align(128))]
#[derive(Default)]
struct Shard(RwLock<HashMap<Arc<str>, Arc<Entry>, RandomState>>);

/// The paths in the table, in the order of the sweep.
#[derive(Default)]
struct Sweep {
    order: VecDeque<Arc<str>>,
    /// The weight of all entries.
    bytes: usize,
}

const SHARDS: usize = 16;

// === impl Table ===

impl Table {
    pub(crate) fn new(limit: usize) -> Self {
        Self { shards: Default::default(), hasher: RandomState::default(), sweep: Mutex::default(), limit }
    }

    fn shard(&self, path: &str) -> &Shard {
        // The high bits, because the maps use the low ones.
        &self.shards[(self.hasher.hash_one(path) >> 60) as usize % SHARDS]
    }

    /// Calls `look` with an entry, under the lock. This saves a clone of the `Arc`.
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

    /// Inserts an entry, or replaces the one that was there.
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

    /// Replaces `old`, if it is still there, by an entry of equal weight.
    pub(crate) fn replace(&self, path: &str, old: &Arc<Entry>, new: &Arc<Entry>) {
        let mut shard = self.shard(path).0.write();
        if let Some(entry) = shard.get_mut(path).filter(|entry| Arc::ptr_eq(entry, old)) {
            *entry = Arc::clone(new);
        }
    }

    /// Removes an entry.
    pub(crate) fn remove(&self, path: &str) {
        // A request for a missing file comes here too. Most of them have no entry.
        if !self.shard(path).0.read().contains_key(path) {
            return;
        }
        let mut sweep = self.sweep.lock();
        if let Some((path, old)) = self.shard(path).0.write().remove_entry(path) {
            sweep.bytes -= old.weight();
            sweep.order.retain(|other| !Arc::ptr_eq(other, &path));
        }
    }

    /// The number of entries, and their weight in bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sweep = self.sweep.lock();
        (sweep.order.len(), sweep.bytes)
    }

    fn make_room(&self, sweep: &mut Sweep) {
        // Two rounds are enough: in the first, every entry loses its mark.
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
