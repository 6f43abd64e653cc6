//! [`Store`]: kept encodings of bodies with an id.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;
use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, BodyId, Lines};
use http::HeaderValue;
use parking_lot::Mutex;
use quick_cache::sync::{Cache as Index, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use tokio::sync::oneshot;

/// A content and a coding.
pub(crate) type Key = (BodyId, Coding);

/// The number of uses from which an encoding is worth improving. Most short-lived contents never
/// reach it.
const MIN_USES: u32 = 8;

/// The memory of an entry besides the encoding itself, in bytes: the index and the allocator's
/// overhead.
const OVERHEAD: usize = 320;
/// The memory of header lines besides their text, in bytes.
const LINES_OVERHEAD: usize = 32;
/// The assumed size of an encoding, in bytes. It decides the number of removed keys that the index
/// remembers.
const TYPICAL_SIZE: u64 = 4096;
/// The lower limit of a shard's size, in bytes. Each shard has a lock of its own.
const MIN_SHARD: u64 = 12 << 20;

/// Keeps encodings, within a limit of bytes. Concurrent requests for one encoding make it once.
pub(crate) struct Store {
    kept: Index<Key, Arc<Kept>, Weigh, foldhash::fast::RandomState>,
    /// The encodings that are being made, each with the requests that wait for it.
    pending: Mutex<HashMap<Key, Vec<Waiter>>>,
    made: AtomicU64,
}

type Waiter = oneshot::Sender<Arc<Kept>>;

/// The figures of a store at one moment.
#[derive(Default)]
pub(crate) struct StoreStats {
    /// Encodings that are kept.
    pub(crate) kept: u64,
    /// Their memory, in bytes.
    pub(crate) kept_bytes: u64,
    /// Encodings that were made since the start.
    pub(crate) made: u64,
}

#[derive(Clone, Copy, Debug)]
struct Weigh;

/// The outcome of encoding a content.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The encoding. `None` if it was not shorter than the content, so that identity is sent.
    pub(crate) encoding: Option<Encoding>,
    /// `true` while a better encoding may be made.
    improvable: AtomicBool,
    uses: AtomicU32,
    /// The header lines that it was last sent with, and the id of the identity's lines that they
    /// were made from.
    lines: Option<(BodyId, Lines)>,
}

/// An encoded content.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    bytes: Bytes,
    id: BodyId,
    length: HeaderValue,
}

/// The way to an encoding that is not kept yet.
pub(crate) enum Joined {
    /// It is kept by now.
    Kept(Arc<Kept>),
    /// The caller makes it, and [finishes](Leader::finish).
    Leader(Leader),
    /// Another request makes it; the caller waits.
    Follower(oneshot::Receiver<Arc<Kept>>),
}

/// The request that makes an encoding for all that wait for it. On drop, their receivers fail.
pub(crate) struct Leader {
    store: Arc<Store>,
    key: Key,
    finished: bool,
}

// === impl Store ===

impl Store {
    pub(crate) fn new(bytes: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut shards = (cores * 4).next_power_of_two();
        while shards > 1 && bytes / shards as u64 <= MIN_SHARD {
            shards /= 2;
        }
        let keys = usize::try_from(bytes / TYPICAL_SIZE).unwrap_or(usize::MAX);
        let hasher = foldhash::fast::RandomState::default();
        let mut options = OptionsBuilder::new();
        // The store does not learn when a content is dropped. Its encodings are still evicted,
        // however often they were used: a use counts only until the next sweep.
        options.shards(shards).weight_capacity(bytes).estimated_items_capacity(keys).hot_allocation(0.9);
        let kept = match options.build() {
            Ok(options) => Index::with_options(options, Weigh, hasher, DefaultLifecycle::default()),
            Err(_) => Index::with(keys, bytes, Weigh, hasher, DefaultLifecycle::default()),
        };
        Self { kept, pending: Mutex::default(), made: AtomicU64::new(0) }
    }

    pub(crate) fn get(&self, key: Key) -> Option<Arc<Kept>> {
        self.kept.get(&key)
    }

    /// Joins the requests for an encoding that [`Store::get`] did not find.
    pub(crate) fn join(self: &Arc<Self>, key: Key) -> Joined {
        let mut pending = self.pending.lock();
        if let Some(waiters) = pending.get_mut(&key) {
            let (sender, receiver) = oneshot::channel();
            waiters.push(sender);
            return Joined::Follower(receiver);
        }
        // It may have been finished since the look-up.
        if let Some(kept) = self.kept.get(&key) {
            return Joined::Kept(kept);
        }
        pending.insert(key, Vec::new());
        Joined::Leader(Leader { store: Arc::clone(self), key, finished: false })
    }

    /// Stores the header lines of a final encoding. Does nothing if the encoding was evicted.
    pub(crate) fn set_lines(&self, key: Key, encoding: &Encoding, identity_lines: BodyId, lines: Lines) {
        let (encoding, lines) = (Some(encoding.clone()), Some((identity_lines, lines)));
        self.replace(key, Kept { encoding, lines, ..Kept::quick(None) });
    }

    /// Replaces an encoding. Does nothing if it was evicted.
    pub(crate) fn replace(&self, key: Key, kept: Kept) {
        if self.kept.contains_key(&key) {
            self.kept.insert(key, Arc::new(kept));
        }
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.kept.contains_key(&key)
    }

    pub(crate) fn stats(&self) -> StoreStats {
        let made = self.made.load(Ordering::Relaxed);
        StoreStats { kept: self.kept.len() as u64, kept_bytes: self.kept.weight(), made }
    }
}

// === impl Weigh ===

impl Weighter<Key, Arc<Kept>> for Weigh {
    fn weight(&self, _: &Key, kept: &Arc<Kept>) -> u64 {
        let lines = kept.lines.as_ref().map_or(0, |(_, lines)| lines.as_bytes().len() + LINES_OVERHEAD);
        (kept.encoding.as_ref().map_or(0, |encoding| encoding.bytes.len()) + lines + OVERHEAD) as u64
    }
}

// === impl Leader ===

impl Leader {
    /// Stores the outcome, and sends it to the requests that wait.
    pub(crate) fn finish(mut self, kept: Kept) -> Arc<Kept> {
        let kept = Arc::new(kept);
        self.store.kept.insert(self.key, Arc::clone(&kept));
        self.store.made.fetch_add(1, Ordering::Relaxed);
        for waiter in self.store.pending.lock().remove(&self.key).unwrap_or_default() {
            let _ = waiter.send(Arc::clone(&kept));
        }
        self.finished = true;
        kept
    }

    /// A receiver of the outcome.
    pub(crate) fn follow(&self) -> oneshot::Receiver<Arc<Kept>> {
        let (sender, receiver) = oneshot::channel();
        self.store.pending.lock().entry(self.key).or_default().push(sender);
        receiver
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.finished {
            self.store.pending.lock().remove(&self.key);
        }
    }
}

// === impl Kept ===

impl Kept {
    /// The outcome of a first, quick encoding.
    pub(crate) fn quick(encoded: Option<Bytes>) -> Self {
        let improvable = AtomicBool::new(encoded.is_some());
        Self { encoding: encoded.map(Encoding::new), improvable, uses: AtomicU32::new(0), lines: None }
    }

    /// A final encoding.
    pub(crate) fn best(encoded: Bytes) -> Self {
        Self { improvable: AtomicBool::new(false), ..Self::quick(Some(encoded)) }
    }

    /// The stored header lines that were made from the identity's lines with this id.
    pub(crate) fn lines(&self, identity_lines: BodyId) -> Option<&Lines> {
        self.lines.as_ref().filter(|(known, _)| *known == identity_lines).map(|(_, lines)| lines)
    }

    /// Returns `true` if a better encoding may be made.
    pub(crate) fn is_improvable(&self) -> bool {
        self.improvable.load(Ordering::Relaxed)
    }

    /// Counts a use. Returns `true`, to one caller only, if a better encoding should be made now.
    pub(crate) fn claim_improvement(&self) -> bool {
        if !self.improvable.load(Ordering::Relaxed) {
            return false;
        }
        let uses = self.uses.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        // After a failure, the next attempt comes with twice as many uses.
        uses >= MIN_USES && uses.is_power_of_two() && self.improvable.swap(false, Ordering::Relaxed)
    }

    /// Gives the claim back: the better encoding could not be made now.
    pub(crate) fn release_improvement(&self) {
        self.improvable.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if `encoded` is shorter than the kept encoding.
    pub(crate) fn is_longer_than(&self, encoded: &Bytes) -> bool {
        self.encoding.as_ref().is_none_or(|encoding| encoding.bytes.len() > encoded.len())
    }
}

// === impl Encoding ===

impl Encoding {
    fn new(bytes: Bytes) -> Self {
        Self { id: BodyId::new(), length: HeaderValue::from(bytes.len()), bytes }
    }

    /// The body, with an id of its own.
    pub(crate) fn body(&self) -> Body {
        Body::identified(self.bytes.clone(), self.id)
    }

    /// The value of `Content-Length`.
    pub(crate) fn length(&self) -> HeaderValue {
        self.length.clone()
    }
}
