//! [`Entry`]: what is known of one file, made ready to be answered with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dunlin_http::conditional::Validators;
use dunlin_http::negotiate::Coding;
use dunlin_http::{BodyId, Mapped};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};
use tokio::sync::watch;

use crate::rules::Rules;
use crate::sealed;
use crate::stamp::Stamp;
use crate::variant::Siblings;

/// What is known of one file at one time.
pub(crate) struct Entry {
    /// The file's path below the root: the index, for a folder.
    pub(crate) path: Box<str>,
    pub(crate) stamp: Stamp,
    /// Whether a change since would show in the stamp. Otherwise the content is read again.
    pub(crate) settled: bool,
    pub(crate) identity: Variant,
    /// Encodings of it, in the order of preference.
    pub(crate) encoded: Vec<(Coding, Variant)>,
    /// What stood beside it, good or not.
    pub(crate) siblings: Vec<(Coding, Stamp)>,
    /// For a file whose tag is being computed: closed when that is done.
    pub(crate) pending: Option<watch::Receiver<()>>,
    /// When it was last compared with the disk, in nanoseconds since 1970.
    checked: AtomicU64,
    /// Whether it was asked for since the table last swept.
    pub(crate) used: AtomicBool,
    /// How often it was asked for while there was a better place for it: up to [`HOT`], or
    /// [`TAKEN`].
    asked: AtomicU32,
}

/// One representation of a file, with its head for a 200.
#[derive(Clone)]
pub(crate) struct Variant {
    pub(crate) head: HeaderMap,
    pub(crate) validators: Validators,
    pub(crate) len: u64,
    pub(crate) content: Content,
}

/// Where the bytes of a representation are.
#[derive(Clone)]
pub(crate) enum Content {
    Memory { bytes: Bytes, id: Option<BodyId>, mapping: Option<Arc<dyn Mapped>> },
    Disk,
}

/// How often a file is asked for before it is worth more: to be held although it is larger than
/// [`Config::max_file`](crate::Config::max_file), or to be sent by the kernel.
const HOT: u32 = 8;

/// In the place of a count: what comes of it is begun.
const TAKEN: u32 = 1 << 31;

// === impl Entry ===

impl Entry {
    pub(crate) fn new(path: &str, stamp: Stamp, identity: Variant, now: SystemTime) -> Self {
        Self {
            path: path.into(),
            stamp,
            settled: true,
            identity,
            encoded: Vec::new(),
            siblings: Vec::new(),
            asked: AtomicU32::new(0),
            pending: None,
            checked: AtomicU64::new(nanos(now)),
            used: AtomicBool::new(true),
        }
    }

    /// Whether its content is held.
    pub(crate) const fn is_in_memory(&self) -> bool {
        matches!(self.identity.content, Content::Memory { .. })
    }

    /// Whether it is still what it was made of, as far as a stamp can tell.
    pub(crate) fn is_of(&self, path: &str, stamp: &Stamp, siblings: &Siblings) -> bool {
        self.settled && self.stamp == *stamp && *self.path == *path && siblings.are(&self.siblings)
    }

    /// Adds an encoding. From then on every answer says that another client may get another one.
    pub(crate) fn add(&mut self, coding: Coding, mut variant: Variant) {
        variant.head.insert(CONTENT_ENCODING, coding.to_value());
        // Ranges are those of the file itself.
        variant.head.remove(ACCEPT_RANGES);
        for head in [&mut self.identity.head, &mut variant.head] {
            head.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        self.encoded.push((coding, variant));
    }

    /// Whether its tag is being computed: somebody still works on it.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.has_changed().is_ok())
    }

    /// It was asked for: the next sweep lets it be. Written only once, so that readers on other
    /// cores keep their cache line.
    pub(crate) fn mark_used(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a request, until there are enough.
    pub(crate) fn count(&self) {
        if self.asked.load(Ordering::Relaxed) < HOT {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether it was asked for again and again, which it says to one caller only.
    pub(crate) fn take_hot(&self) -> bool {
        (HOT..TAKEN).contains(&self.asked.load(Ordering::Relaxed)) && self.asked.swap(TAKEN, Ordering::Relaxed) < TAKEN
    }

    fn contents(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.identity).chain(self.encoded.iter().map(|(_, variant)| variant)).map(|it| &it.content)
    }

    /// Whether some of it is held so that the kernel can send it.
    pub(crate) fn is_sealed(&self) -> bool {
        self.contents().any(|content| matches!(content, Content::Memory { mapping: Some(_), .. }))
    }

    /// Whether it is all held, and some of it would better be so.
    pub(crate) fn can_be_sealed(&self) -> bool {
        self.is_in_memory() && self.contents().any(Content::can_be_sealed)
    }

    /// The same, held so that the kernel can send it.
    pub(crate) fn sealed(&self) -> Self {
        let seal = |variant: &Variant| Variant { content: variant.content.sealed(), ..variant.clone() };
        Self {
            path: self.path.clone(),
            stamp: self.stamp,
            settled: self.settled,
            identity: seal(&self.identity),
            encoded: self.encoded.iter().map(|(coding, variant)| (*coding, seal(variant))).collect(),
            siblings: self.siblings.clone(),
            pending: self.pending.clone(),
            checked: AtomicU64::new(self.checked.load(Ordering::Relaxed)),
            used: AtomicBool::new(true),
            asked: AtomicU32::new(0),
        }
    }

    /// Whether it was compared with the disk less than `within` ago. A clock that was set back
    /// makes it old.
    pub(crate) fn is_fresh(&self, now: SystemTime, within: Duration) -> bool {
        let age = nanos(now).wrapping_sub(self.checked.load(Ordering::Relaxed));
        u128::from(age) < within.as_nanos()
    }

    /// It was compared with the disk just now, and is still right.
    pub(crate) fn confirm(&self, now: SystemTime) {
        self.checked.store(nanos(now), Ordering::Relaxed);
    }

    /// When it was last compared with the disk.
    pub(crate) fn confirmed(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.checked.load(Ordering::Relaxed))
    }

    /// Bytes of memory it takes, about.
    pub(crate) fn weight(&self) -> usize {
        let encoded: usize = self.encoded.iter().map(|(_, variant)| variant.weight()).sum();
        size_of::<Self>() + 2 * self.path.len() + self.identity.weight() + encoded
    }
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

// === impl Content ===

impl Content {
    /// Bytes that were not held before.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self::Memory { bytes: bytes.into(), id: Some(BodyId::new()), mapping: None }
    }

    fn can_be_sealed(&self) -> bool {
        matches!(self, Self::Memory { bytes, mapping: None, .. } if sealed::is_worth(bytes.len()))
    }

    /// The same bytes, held so that the kernel can send them. As they are where that would gain
    /// nothing, or cannot be.
    pub(crate) fn sealed(&self) -> Self {
        match self {
            Self::Memory { bytes, id, .. } if self.can_be_sealed() => {
                let (bytes, mapping) = sealed::hold(bytes);
                Self::Memory { bytes, id: *id, mapping }
            }
            same => same.clone(),
        }
    }
}

// === impl Variant ===

impl Variant {
    /// A representation whose bytes are `content`, known by `etag` if that is known.
    pub(crate) fn new(
        rules: &Rules,
        path: &str,
        text: bool,
        len: u64,
        validators: Validators,
        content: Content,
    ) -> Self {
        let mut head = HeaderMap::with_capacity(8);
        head.insert(CONTENT_TYPE, rules.content_type(path, text));
        head.insert(CONTENT_LENGTH, HeaderValue::from(len));
        if let Some(etag) = &validators.etag {
            head.insert(ETAG, etag.to_value());
        }
        if let Some(time) = validators.last_modified {
            head.insert(LAST_MODIFIED, dunlin_http::date::format(time));
        }
        head.insert(CACHE_CONTROL, rules.cache_control(path));
        head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        head.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Self { head, validators, len, content }
    }

    fn weight(&self) -> usize {
        let bytes = match &self.content {
            Content::Memory { bytes, .. } => bytes.len(),
            Content::Disk => 0,
        };
        // The head's fields with their values, and the hash table over them.
        bytes + self.head.len() * 160
    }
}
