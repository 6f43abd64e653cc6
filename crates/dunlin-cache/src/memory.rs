//! The memory level: on moka, weighed in bytes, all variants of a key in one place.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::HeaderMap;
use moka::sync::Cache as Moka;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::entry::Entry;
use crate::generations::Generations;
use crate::policy::key::{KeyHash, Target};
use crate::policy::s4_1_key;

/// What moka, the allocator and the index take for a key, in bytes, found by measuring (see `examples/bound.rs`).
const OVERHEAD: usize = 420;
/// Keys that are changed at the same time without waiting for each other.
const STRIPES: usize = 64;

/// All that is stored for one key.
#[derive(Debug)]
pub(crate) struct Resource {
    /// The key as a text: what its hash stands for.
    pub(crate) key: Box<str>,
    /// The newest first.
    pub(crate) variants: SmallVec<[Arc<Entry>; 1]>,
}

/// What a look-up found.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing of this key.
    Nothing,
    /// Only variants that the request does not select. One of them is given, for the fields that they vary by.
    OtherVariants(Arc<Entry>),
    /// What the request selects.
    Entry(Arc<Entry>),
}

/// The memory level.
pub(crate) struct Memory {
    entries: Moka<KeyHash, Arc<Resource>, Unhashed>,
    stripes: Box<[Mutex<()>]>,
    max_variants: usize,
    /// Bytes that were put in since moka last threw out what is too much.
    unsettled: AtomicU64,
    settle_at: u64,
}

/// Keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unhashed(u64);

// === impl Memory ===

impl Memory {
    pub(crate) fn new(bytes: u64, max_variants: usize) -> Self {
        let entries = Moka::builder()
            .max_capacity(bytes)
            .weigher(|_: &KeyHash, resource: &Arc<Resource>| u32::try_from(resource.weight()).unwrap_or(u32::MAX))
            .build_with_hasher(Unhashed::default());
        let stripes = (0..STRIPES).map(|_| Mutex::new(())).collect();
        Self { entries, stripes, max_variants, unsettled: AtomicU64::new(0), settle_at: bytes / 32 }
    }

    /// What is stored for this request.
    pub(crate) fn find(
        &self,
        hash: KeyHash,
        target: &Target<'_>,
        request: &HeaderMap,
        generations: &Generations,
    ) -> Found {
        let Some(resource) = self.entries.get(&hash) else { return Found::Nothing };
        if !target.is(&resource.key) {
            return Found::Nothing;
        }
        let mut other = None;
        for entry in &resource.variants {
            if !generations.is_current(entry.since, &entry.slots) {
                continue;
            }
            if s4_1_key::selects(&entry.selecting, &entry.headers, request) {
                return Found::Entry(Arc::clone(entry));
            }
            other = Some(entry);
        }
        other.map_or(Found::Nothing, |entry| Found::OtherVariants(Arc::clone(entry)))
    }

    /// Stores an entry in the place of the one of the same variant.
    pub(crate) fn put(&self, hash: KeyHash, key: &str, entry: &Arc<Entry>, generations: &Generations) {
        let weight = entry.weight() + key.len() + OVERHEAD;
        {
            let _guard = self.stripe(hash).lock();
            let old = self.entries.get(&hash).filter(|resource| *resource.key == *key);
            let mut variants = SmallVec::with_capacity(1 + old.as_ref().map_or(0, |old| old.variants.len()));
            variants.push(Arc::clone(entry));
            for other in old.iter().flat_map(|old| &old.variants) {
                let keep = generations.is_current(other.since, &other.slots) && are_variants(entry, other);
                if keep && variants.len() < self.max_variants {
                    variants.push(Arc::clone(other));
                }
            }
            self.entries.insert(hash, Arc::new(Resource { key: key.into(), variants }));
        }
        // moka throws out later, by and by. So that "later" has a bound, it is made to after so many bytes.
        if self.unsettled.fetch_add(weight as u64, Relaxed) + weight as u64 >= self.settle_at {
            self.unsettled.store(0, Relaxed);
            self.entries.run_pending_tasks();
        }
    }

    /// Removes one entry, if it is still there.
    pub(crate) fn remove(&self, hash: KeyHash, entry: &Arc<Entry>) {
        let _guard = self.stripe(hash).lock();
        let Some(resource) = self.entries.get(&hash) else { return };
        let variants: SmallVec<_> =
            resource.variants.iter().filter(|other| !Arc::ptr_eq(other, entry)).map(Arc::clone).collect();
        if variants.is_empty() {
            self.entries.invalidate(&hash);
        } else {
            self.entries.insert(hash, Arc::new(Resource { key: resource.key.clone(), variants }));
        }
    }

    /// Removes all of a key.
    pub(crate) fn remove_key(&self, hash: KeyHash) {
        let _guard = self.stripe(hash).lock();
        self.entries.invalidate(&hash);
    }

    /// Removes everything.
    pub(crate) fn clear(&self) {
        self.entries.invalidate_all();
        self.entries.run_pending_tasks();
    }

    /// How many keys there are, and what they weigh.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    fn stripe(&self, hash: KeyHash) -> &Mutex<()> {
        &self.stripes[hash.0 as usize % STRIPES]
    }
}

/// Whether two entries of one key stand side by side: they vary by the same fields and differ in them, or are different parts.
/// What varies by other fields than the newest answer tells of is out of date in that.
fn are_variants(new: &Entry, old: &Entry) -> bool {
    let names = |entry: &Entry| entry.selecting.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    names(new) == names(old) && new.selecting != old.selecting
}

// === impl Resource ===

impl Resource {
    fn weight(&self) -> usize {
        OVERHEAD + self.key.len() + self.variants.iter().map(|entry| entry.weight()).sum::<usize>()
    }
}

// === impl Unhashed ===

impl BuildHasher for Unhashed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for Unhashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys are written as one `u128`; anything else is mixed so that it is at least not wrong.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}
