//! [`Memory`]: the first level, limited in bytes.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;
use quick_cache::sync::{Cache as Index, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use smallvec::SmallVec;

use crate::entry::Entry;
use crate::generations::Generations;
use crate::policy::key::KeyHash;
use crate::policy::s4_1_key;
use crate::prefetch::prefetch;

/// The bytes that the index and the allocator take for a key, measured with `examples/bound.rs`.
const OVERHEAD: usize = 300;
/// The assumed bytes of an entry. The index derives from it how many evicted keys it remembers.
const TYPICAL: u64 = 2048;
/// The share of memory for entries that were used again. New entries have the rest.
const PROVEN: f64 = 0.9;
/// The number of locks, each for a part of the keys.
const STRIPES: usize = 64;

/// The entries of one key, the newest first.
#[derive(Debug)]
enum Variants {
    One(Arc<Entry>),
    Many(Arc<[Arc<Entry>]>),
}

/// The result of a look-up.
#[derive(Debug)]
pub(crate) enum Found {
    /// No entry of this key.
    Nothing,
    /// Only variants that the request does not select. One of them shows by which fields they vary.
    OtherVariants(Arc<Entry>),
    /// The entry that the request selects.
    Entry(Arc<Entry>),
}

/// The size of the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemorySize {
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
}

/// The first level: entries in memory, all variants of a key in one place.
pub(crate) struct Memory {
    entries: Index<KeyHash, Variants, Weigh, Unhashed>,
    stripes: Box<[Mutex<()>]>,
    max_variants: usize,
    /// The limit of bytes of one key.
    max_weight: u64,
}

/// Weighs the entries of a key.
#[derive(Clone, Copy, Debug)]
struct Weigh;

/// A hasher of keys, which are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unhashed(u64);

// === impl Memory ===

impl Memory {
    pub(crate) fn new(bytes: u64, max_entry: u64, max_variants: usize) -> Self {
        // Each shard has its own lock and its own part of the bytes, with room for two of the
        // largest entries.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let proven = |shards: usize| (bytes as f64 / shards as f64 * PROVEN) as u64;
        let mut shards = (cores * 4).next_power_of_two();
        while shards > 1 && proven(shards) < max_entry.saturating_add(TYPICAL).saturating_mul(2) {
            shards /= 2;
        }
        let keys = usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX);
        let mut options = OptionsBuilder::new();
        options
            .shards(shards)
            .weight_capacity(bytes)
            .estimated_items_capacity(keys)
            .hot_allocation(PROVEN)
            .ghost_allocation(1.0);
        let (weigh, hasher) = (Weigh, Unhashed::default());
        let entries = match options.build() {
            Ok(options) => Index::with_options(options, weigh, hasher, DefaultLifecycle::default()),
            Err(_) => Index::with(keys, bytes, weigh, hasher, DefaultLifecycle::default()),
        };
        let max_weight = proven(entries.num_shards());
        let stripes = (0..STRIPES).map(|_| Mutex::new(())).collect();
        Self { entries, stripes, max_variants, max_weight }
    }

    /// The largest body that fits, with a head of a usual size.
    pub(crate) fn largest_body(&self) -> u64 {
        self.max_weight.saturating_sub(2 * TYPICAL)
    }

    /// Looks up the entry for a request. `key` is the text of its key.
    pub(crate) fn find(&self, hash: KeyHash, key: &[u8], request: &HeaderMap, generations: &Generations) -> Found {
        let Some(variants) = self.entries.get(&hash) else { return Found::Nothing };
        if let Variants::One(entry) = &variants {
            entry.prefetch();
        }
        // Equal hashes of different keys are very unlikely, but a wrong response must be
        // impossible.
        if *variants.key() != *key {
            return Found::Nothing;
        }
        let is_current = |entry: &Entry| generations.is_current(entry.since, &entry.slots);
        let selects = |entry: &Entry| s4_1_key::selects(&entry.selecting, &entry.headers, request);
        match variants {
            Variants::One(entry) if !is_current(&entry) => Found::Nothing,
            Variants::One(entry) if selects(&entry) => Found::Entry(entry),
            Variants::One(entry) => Found::OtherVariants(entry),
            Variants::Many(entries) => {
                let current = || entries.iter().filter(|entry| is_current(entry));
                match (current().find(|entry| selects(entry)), current().next_back()) {
                    (Some(entry), _) => Found::Entry(Arc::clone(entry)),
                    (None, Some(other)) => Found::OtherVariants(Arc::clone(other)),
                    (None, None) => Found::Nothing,
                }
            }
        }
    }

    /// Stores an entry in place of the one of the same variant.
    pub(crate) fn put(&self, hash: KeyHash, entry: &Arc<Entry>, generations: &Generations) {
        let _guard = self.stripe(hash).lock();
        let old = self.entries.peek(&hash).filter(|old| *old.key() == *entry.key);
        let mut weight = weight(entry);
        let mut variants = SmallVec::<[_; 4]>::new();
        variants.push(Arc::clone(entry));
        for other in old.iter().flat_map(Variants::all) {
            let keep = generations.is_current(other.since, &other.slots) && are_variants(entry, other);
            weight += if keep { self::weight(other) } else { 0 };
            // The index would refuse a key that exceeds its limit.
            if keep && variants.len() < self.max_variants && weight <= self.max_weight {
                variants.push(Arc::clone(other));
            }
        }
        if let Some(variants) = Variants::of(&variants) {
            self.entries.insert(hash, variants);
        }
    }

    /// Removes one entry if it is still there.
    pub(crate) fn remove(&self, hash: KeyHash, entry: &Arc<Entry>) {
        let _guard = self.stripe(hash).lock();
        let Some(old) = self.entries.peek(&hash) else { return };
        let rest: SmallVec<[_; 4]> =
            old.all().iter().filter(|other| !Arc::ptr_eq(other, entry)).map(Arc::clone).collect();
        match Variants::of(&rest) {
            Some(_) if rest.len() == old.all().len() => {}
            Some(rest) => self.entries.insert(hash, rest),
            None => drop(self.entries.remove(&hash)),
        }
    }

    /// Removes all entries of a key.
    pub(crate) fn remove_key(&self, hash: KeyHash) {
        let _guard = self.stripe(hash).lock();
        self.entries.remove(&hash);
    }

    /// Removes everything.
    pub(crate) fn clear(&self) {
        self.entries.clear();
    }

    pub(crate) fn size(&self) -> MemorySize {
        MemorySize { keys: self.entries.len() as u64, bytes: self.entries.weight() }
    }

    /// The entries for which `select` returns `true`. It looks at every entry.
    pub(crate) fn select(&self, select: impl Fn(&Entry) -> bool) -> Vec<(KeyHash, Arc<Entry>)> {
        let mut selected = Vec::new();
        for (hash, variants) in self.entries.iter() {
            let matching = variants.all().iter().filter(|entry| select(entry));
            selected.extend(matching.map(|entry| (hash, Arc::clone(entry))));
        }
        selected
    }

    fn stripe(&self, hash: KeyHash) -> &Mutex<()> {
        &self.stripes[hash.0 as usize % STRIPES]
    }
}

/// Returns `true` if two entries of one key are different variants: they vary by the same fields
/// and differ in them. An entry that varies by other fields than the newest one is out of date.
fn are_variants(new: &Entry, old: &Entry) -> bool {
    let names = |entry: &Entry| entry.selecting.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    names(new) == names(old) && new.selecting != old.selecting
}

// === impl Variants ===

impl Clone for Variants {
    fn clone(&self) -> Self {
        match self {
            Self::One(entry) => {
                // A clone is about to be read, and the reference count has loaded only its own
                // line.
                prefetch(Arc::as_ptr(entry).cast(), size_of::<Entry>());
                Self::One(Arc::clone(entry))
            }
            Self::Many(entries) => Self::Many(Arc::clone(entries)),
        }
    }
}

impl Variants {
    fn of(entries: &[Arc<Entry>]) -> Option<Self> {
        match entries {
            [] => None,
            [one] => Some(Self::One(Arc::clone(one))),
            many => Some(Self::Many(many.into())),
        }
    }

    fn all(&self) -> &[Arc<Entry>] {
        match self {
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }

    /// The text of the key.
    fn key(&self) -> &[u8] {
        self.all().first().map_or(&[], |entry| &entry.key)
    }
}

// === impl Weigh ===

impl Weighter<KeyHash, Variants> for Weigh {
    fn weight(&self, _: &KeyHash, variants: &Variants) -> u64 {
        variants.all().iter().map(|entry| weight(entry)).sum()
    }
}

fn weight(entry: &Entry) -> u64 {
    (OVERHEAD + entry.weight) as u64
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
        // Keys are written as one `u128`. Other input only has to give a valid hash.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}
