//! Encodings of bodies that come again.

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

/// Which content, in which coding.
pub(crate) type Key = (BodyId, Coding);

/// How often an encoding is asked for before it is worth a better one. Most contents of a short
/// life never are.
const ASKED: u32 = 8;

/// What an entry takes besides the encoding itself, in bytes: the store's own index, and what the
/// allocator adds.
const OVERHEAD: usize = 320;
/// What the lines of a head take besides their text, in bytes.
const LINES: usize = 32;
/// What an encoding is guessed to take: by this the index knows how many keys to remember that it
/// has let go.
const TYPICAL: u64 = 4096;
/// Bytes of a part of the store with a lock of its own, at least.
const SHARD: u64 = 12 << 20;

/// Keeps encodings, within a bound of bytes. Each is made once, however many ask for it.
pub(crate) struct Store {
    kept: Index<Key, Arc<Kept>, Weigh, foldhash::fast::RandomState>,
    /// Who waits for what is being made.
    flights: Mutex<HashMap<Key, Vec<Waiter>>>,
    made: AtomicU64,
}

type Waiter = oneshot::Sender<Arc<Kept>>;

#[derive(Clone, Copy, Debug)]
struct Weigh;

/// What came of encoding a content.
#[derive(Debug)]
pub(crate) struct Kept {
    /// `None` when it was no shorter: the content itself is the best that can be sent.
    pub(crate) encoding: Option<Encoding>,
    /// Whether a better encoding may still be worth its while.
    improvable: AtomicBool,
    asked: AtomicU32,
    /// The lines of the head that it was last sent with, under the name of those that they were
    /// made of.
    lines: Option<(BodyId, Lines)>,
}

/// An encoded content.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    bytes: Bytes,
    id: BodyId,
    length: HeaderValue,
}

/// What to do about an encoding that is not there yet.
pub(crate) enum Joined {
    /// It is there by now.
    Kept(Arc<Kept>),
    /// Make it, and [`land`](Lead::land) it.
    Lead(Lead),
    /// Somebody is making it; wait.
    Follow(oneshot::Receiver<Arc<Kept>>),
}

/// The right and the duty to make an encoding. Dropped, it sends those who wait away.
pub(crate) struct Lead {
    store: Arc<Store>,
    key: Key,
    landed: bool,
}

// === impl Store ===

impl Store {
    pub(crate) fn new(bytes: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut shards = (cores * 4).next_power_of_two();
        while shards > 1 && bytes / shards as u64 <= SHARD {
            shards /= 2;
        }
        let keys = usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX);
        let hasher = foldhash::fast::RandomState::default();
        let mut options = OptionsBuilder::new();
        // Contents die without a word. What nobody asks for any more sinks all the same, however
        // much it once was liked: a use counts only until the hand of the clock has come by.
        options.shards(shards).weight_capacity(bytes).estimated_items_capacity(keys).hot_allocation(0.9);
        let kept = match options.build() {
            Ok(options) => Index::with_options(options, Weigh, hasher, DefaultLifecycle::default()),
            Err(_) => Index::with(keys, bytes, Weigh, hasher, DefaultLifecycle::default()),
        };
        Self { kept, flights: Mutex::default(), made: AtomicU64::new(0) }
    }

    pub(crate) fn get(&self, key: Key) -> Option<Arc<Kept>> {
        self.kept.get(&key)
    }

    /// Asks for what [`Store::get`] did not find.
    pub(crate) fn join(self: &Arc<Self>, key: Key) -> Joined {
        let mut flights = self.flights.lock();
        if let Some(waiting) = flights.get_mut(&key) {
            let (sender, receiver) = oneshot::channel();
            waiting.push(sender);
            return Joined::Follow(receiver);
        }
        // It may have been finished since it was looked up.
        if let Some(kept) = self.kept.get(&key) {
            return Joined::Kept(kept);
        }
        flights.insert(key, Vec::new());
        Joined::Lead(Lead { store: Arc::clone(self), key, landed: false })
    }

    /// Remembers with which lines an encoding that is the best there will be goes out in the place
    /// of those of this name, unless it is not there any more.
    pub(crate) fn remember(&self, key: Key, encoding: &Encoding, of: BodyId, lines: Lines) {
        let (encoding, lines) = (Some(encoding.clone()), Some((of, lines)));
        self.improve(key, Kept { encoding, lines, ..Kept::first(None) });
    }

    /// Replaces an encoding with a better one, unless it is not there any more.
    pub(crate) fn improve(&self, key: Key, kept: Kept) {
        if self.kept.contains_key(&key) {
            self.kept.insert(key, Arc::new(kept));
        }
    }

    pub(crate) fn holds(&self, key: Key) -> bool {
        self.kept.contains_key(&key)
    }

    /// How many encodings are kept, their bytes with all that is kept about them, and how many were
    /// ever made.
    pub(crate) fn figures(&self) -> (u64, u64, u64) {
        (self.kept.len() as u64, self.kept.weight(), self.made.load(Ordering::Relaxed))
    }
}

// === impl Weigh ===

impl Weighter<Key, Arc<Kept>> for Weigh {
    fn weight(&self, _: &Key, kept: &Arc<Kept>) -> u64 {
        let lines = kept.lines.as_ref().map_or(0, |(_, lines)| lines.as_bytes().len() + LINES);
        (kept.encoding.as_ref().map_or(0, |encoding| encoding.bytes.len()) + lines + OVERHEAD) as u64
    }
}

// === impl Lead ===

impl Lead {
    /// Keeps what was made and gives it to all who wait.
    pub(crate) fn land(mut self, kept: Kept) -> Arc<Kept> {
        let kept = Arc::new(kept);
        self.store.kept.insert(self.key, Arc::clone(&kept));
        self.store.made.fetch_add(1, Ordering::Relaxed);
        for waiter in self.store.flights.lock().remove(&self.key).unwrap_or_default() {
            let _ = waiter.send(Arc::clone(&kept));
        }
        self.landed = true;
        kept
    }

    /// Waits with the others.
    pub(crate) fn follow(&self) -> oneshot::Receiver<Arc<Kept>> {
        let (sender, receiver) = oneshot::channel();
        self.store.flights.lock().entry(self.key).or_default().push(sender);
        receiver
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.landed {
            self.store.flights.lock().remove(&self.key);
        }
    }
}

// === impl Kept ===

impl Kept {
    /// What came of a first, quick encoding.
    pub(crate) fn first(encoded: Option<Bytes>) -> Self {
        let improvable = AtomicBool::new(encoded.is_some());
        Self { encoding: encoded.map(Encoding::new), improvable, asked: AtomicU32::new(0), lines: None }
    }

    /// The best there will be.
    pub(crate) fn best(encoded: Bytes) -> Self {
        Self { improvable: AtomicBool::new(false), ..Self::first(Some(encoded)) }
    }

    /// The lines that it goes out with in the place of these, if they are remembered.
    pub(crate) fn lines(&self, of: BodyId) -> Option<&Lines> {
        self.lines.as_ref().filter(|(known, _)| *known == of).map(|(_, lines)| lines)
    }

    /// Whether a better encoding may still be made.
    pub(crate) fn is_improvable(&self) -> bool {
        self.improvable.load(Ordering::Relaxed)
    }

    /// Counts a use. `true` when a better encoding should be made now, which it says to one caller
    /// only.
    pub(crate) fn deserves_better(&self) -> bool {
        if !self.improvable.load(Ordering::Relaxed) {
            return false;
        }
        let asked = self.asked.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        // When it could not be made, it is tried again, ever more seldom.
        asked >= ASKED && asked.is_power_of_two() && self.improvable.swap(false, Ordering::Relaxed)
    }

    /// A better encoding could not be made now.
    pub(crate) fn try_again(&self) {
        self.improvable.store(true, Ordering::Relaxed);
    }

    /// Whether `encoded` is shorter than what is kept.
    pub(crate) fn is_longer_than(&self, encoded: &Bytes) -> bool {
        self.encoding.as_ref().is_none_or(|encoding| encoding.bytes.len() > encoded.len())
    }
}

// === impl Encoding ===

impl Encoding {
    fn new(bytes: Bytes) -> Self {
        Self { id: BodyId::new(), length: HeaderValue::from(bytes.len()), bytes }
    }

    /// The body, under an id of its own.
    pub(crate) fn body(&self) -> Body {
        Body::identified(self.bytes.clone(), self.id)
    }

    /// The value of `Content-Length`.
    pub(crate) fn length(&self) -> HeaderValue {
        self.length.clone()
    }
}
