//! [`Entry`]: a file in the table, with heads that are ready to be sent.

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

use crate::located::Located;
use crate::rules::Rules;
use crate::sealed;
use crate::stamp::Stamp;

/// A file at one moment: its stamp, and its representations.
pub(crate) struct Entry {
    /// The file's path below the root. For a folder, that of its index.
    pub(crate) path: Box<str>,
    pub(crate) stamp: Stamp,
    /// `true` if a later change would show in the stamp. Otherwise the content is read again.
    pub(crate) settled: bool,
    pub(crate) identity: Variant,
    /// Its encodings, in the order of preference.
    pub(crate) encoded: Vec<(Coding, Variant)>,
    /// The siblings that were found, rejected ones included.
    pub(crate) siblings: Vec<(Coding, Stamp)>,
    /// For a file whose tag is being computed: a channel that closes when the tag is known.
    pub(crate) pending: Option<watch::Receiver<()>>,
    /// The time of the last comparison with the disk, in nanoseconds since 1970.
    checked: AtomicU64,
    /// `true` if it was requested since the table's last sweep.
    pub(crate) used: AtomicBool,
    /// The number of requests that may make it hot, up to [`HOT`]. After that, [`CLAIMED`].
    requests: AtomicU32,
}

/// One representation of a file, with the header of a 200 (OK) response.
#[derive(Clone)]
pub(crate) struct Variant {
    pub(crate) head: HeaderMap,
    pub(crate) validators: Validators,
    pub(crate) len: u64,
    pub(crate) content: Content,
}

/// The place of a representation's bytes.
#[derive(Clone)]
pub(crate) enum Content {
    Memory(Memory),
    Disk,
}

/// Content that is held in memory.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) bytes: Bytes,
    pub(crate) id: Option<BodyId>,
    /// The sealed file that has the same bytes, if there is one.
    pub(crate) mapping: Option<Arc<dyn Mapped>>,
}

/// The number of requests that makes a file hot. A hot file is held in memory although it is longer
/// than [`Config::max_file`](crate::Config::max_file), or it is sealed.
const HOT: u32 = 8;

/// Stands in place of a count: one caller of [`Entry::claim_hot`] has got `true`.
const CLAIMED: u32 = 1 << 31;

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
            requests: AtomicU32::new(0),
            pending: None,
            checked: AtomicU64::new(nanos(now)),
            used: AtomicBool::new(true),
        }
    }

    /// Returns `true` if its content is held in memory.
    pub(crate) const fn is_in_memory(&self) -> bool {
        matches!(self.identity.content, Content::Memory { .. })
    }

    /// Returns `true` if it was made from this file and these siblings, by their stamps.
    pub(crate) fn matches(&self, located: &Located) -> bool {
        self.settled
            && self.stamp == located.stamp
            && *self.path == *located.path
            && located.siblings.have_stamps(&self.siblings)
    }

    /// Adds an encoding, and `Vary` to all representations.
    pub(crate) fn add_encoding(&mut self, coding: Coding, mut variant: Variant) {
        variant.head.insert(CONTENT_ENCODING, coding.to_value());
        // Ranges are of the identity representation only.
        variant.head.remove(ACCEPT_RANGES);
        for head in [&mut self.identity.head, &mut variant.head] {
            head.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        self.encoded.push((coding, variant));
    }

    /// Returns `true` if its tag is being computed.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.has_changed().is_ok())
    }

    /// Protects it from the next sweep. The flag is written only once, so that readers on other
    /// cores keep their cache line.
    pub(crate) fn mark_used(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a request, up to [`HOT`].
    pub(crate) fn count_request(&self) {
        if self.requests.load(Ordering::Relaxed) < HOT {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns `true` if the file is hot, to one caller only.
    pub(crate) fn claim_hot(&self) -> bool {
        (HOT..CLAIMED).contains(&self.requests.load(Ordering::Relaxed))
            && self.requests.swap(CLAIMED, Ordering::Relaxed) < CLAIMED
    }

    fn contents(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.identity).chain(self.encoded.iter().map(|(_, variant)| variant)).map(|it| &it.content)
    }

    /// Returns `true` if a representation of it is sealed.
    pub(crate) fn is_sealed(&self) -> bool {
        self.contents().any(|content| matches!(content, Content::Memory(Memory { mapping: Some(_), .. })))
    }

    /// Returns `true` if it is in memory, and a representation of it is worth sealing.
    pub(crate) fn can_be_sealed(&self) -> bool {
        self.is_in_memory() && self.contents().any(Content::can_be_sealed)
    }

    /// A copy in sealed files, where that is worth it.
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
            requests: AtomicU32::new(0),
        }
    }

    /// Returns `true` if it was compared with the disk less than `interval` ago. A clock that was
    /// set back makes it old.
    pub(crate) fn is_fresh(&self, now: SystemTime, interval: Duration) -> bool {
        let age = nanos(now).wrapping_sub(self.checked.load(Ordering::Relaxed));
        u128::from(age) < interval.as_nanos()
    }

    /// Sets the time of the last comparison with the disk.
    pub(crate) fn set_checked(&self, now: SystemTime) {
        self.checked.store(nanos(now), Ordering::Relaxed);
    }

    /// The time of the last comparison with the disk.
    pub(crate) fn checked_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.checked.load(Ordering::Relaxed))
    }

    /// The memory that it takes, in bytes, approximately.
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
    /// Bytes that get a new body id.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self::Memory(Memory { bytes: bytes.into(), id: Some(BodyId::new()), mapping: None })
    }

    fn can_be_sealed(&self) -> bool {
        matches!(self, Self::Memory(Memory { bytes, mapping: None, .. }) if sealed::is_worth(bytes.len()))
    }

    /// The same bytes in a sealed file. Returns a plain copy if sealing gains nothing or fails.
    pub(crate) fn sealed(&self) -> Self {
        match self {
            Self::Memory(memory) if self.can_be_sealed() => match sealed::seal(&memory.bytes) {
                Some(sealed) => {
                    Self::Memory(Memory { bytes: sealed.bytes, id: memory.id, mapping: Some(sealed.mapping) })
                }
                None => self.clone(),
            },
            same => same.clone(),
        }
    }
}

// === impl Variant ===

impl Variant {
    /// A representation with its header. `text` says that the content is UTF-8.
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
            Content::Memory(memory) => memory.bytes.len(),
            Content::Disk => 0,
        };
        // The header fields with their values, and the hash table over them.
        bytes + self.head.len() * 160
    }
}
