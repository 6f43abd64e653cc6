//! What is known of a path: from the table when it is fresh, from the disk when not.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dunlin_http::conditional::Validators;
use dunlin_http::{BodyId, Clock};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, watch};

use crate::Config;
use crate::entry::{self, Content, Entry, Variant};
use crate::pool::Pool;
use crate::resolve::{Found, resolve};
use crate::root::{Root, Wait};
use crate::rules::Rules;
use crate::snapshot;
use crate::stamp::Stamp;
use crate::stream::Source;
use crate::table::Table;

/// What all clones of a service share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) rules: Rules,
    pub(crate) root: Root,
    pub(crate) table: Table,
    pub(crate) pool: Pool,
    /// One load at a time for paths that share a stripe, so that a path is loaded once however many ask for it.
    loads: [Arc<Mutex<()>>; 64],
    /// When the root was last looked for by its path, in nanoseconds since 1970.
    root_checked: AtomicU64,
}

/// What is known of a path.
pub(crate) enum Known {
    /// A file in memory.
    Memory(Arc<Entry>),
    /// A file on disk, open.
    Disk(Arc<Entry>, Source),
    /// A folder that was named without its slash.
    Unslashed,
    /// A folder without an index, open.
    Folder(File),
    /// Nothing that is served.
    Missing,
}

/// A file that was found for a path.
struct Located {
    key: String,
    path: String,
    file: File,
    stamp: Stamp,
    /// When it was looked for.
    at: SystemTime,
}

/// How long an answer waits for a large file's tag, unless the request names one.
const TAG_WAIT: Duration = Duration::from_millis(100);

/// A large file that changed less than this ago may be changing still: it gets no tag yet.
const LIVE: Duration = Duration::from_secs(2);

// === impl Shared ===

impl Shared {
    pub(crate) fn new(root: Root, config: Config) -> Self {
        Self {
            rules: Rules::new(&config),
            table: Table::new(config.memory),
            pool: Pool::new(),
            loads: std::array::from_fn(|_| Arc::default()),
            root_checked: AtomicU64::new(0),
            root,
            config,
        }
    }

    /// How long the table is believed. Half of what is promised: the rest is left for a writer to finish.
    pub(crate) fn believed(&self) -> Duration {
        self.config.seen_within / 2
    }

    /// Finds out what `path` is now. `names_tag`: the request cannot be answered well without the file's tag.
    pub(crate) async fn find(self: &Arc<Self>, path: &str, names_tag: bool) -> io::Result<Known> {
        // A file may grow beyond what is held in memory, or shrink to it, between the steps.
        for _ in 0..4 {
            let at = self.config.clock.now();
            match self.resolve(path, at).await? {
                Found::Unslashed => return Ok(Known::Unslashed),
                Found::Folder(folder) => return Ok(Known::Folder(folder)),
                Found::Missing => {
                    self.table.remove(path);
                    return Ok(Known::Missing);
                }
                Found::File { path: real, file, stamp } => {
                    let located = Located { key: path.to_owned(), path: real, file, stamp, at };
                    if stamp.len > self.config.max_file {
                        return self.large(located, names_tag).await;
                    }
                    if let Some(entry) = self.small(located).await? {
                        return Ok(Known::Memory(entry));
                    }
                }
            }
        }
        Err(io::Error::other("the file changes faster than it can be read"))
    }

    /// On the loop if the kernel has all of it in memory, else by the pool.
    async fn resolve(self: &Arc<Self>, path: &str, now: SystemTime) -> io::Result<Found> {
        match self.resolve_now(path, now, Wait::No) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            found => return found,
        }
        let (shared, path) = (Arc::clone(self), path.to_owned());
        self.pool.disk(move || shared.resolve_now(&path, now, Wait::Yes)).await
    }

    fn resolve_now(&self, path: &str, now: SystemTime, wait: Wait) -> io::Result<Found> {
        let nanos = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let age = nanos.wrapping_sub(self.root_checked.load(Ordering::Relaxed));
        if u128::from(age) >= self.believed().as_nanos() {
            match self.root.refresh(wait) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "the root is not where it was: the folder that was there is served");
                }
                Ok(()) => {}
            }
            self.root_checked.store(nanos, Ordering::Relaxed);
        }
        resolve(&self.root, path, &self.config.index, self.config.listing, wait)
    }

    /// A file that is held in memory; `None` if it turns out too large.
    async fn small(self: &Arc<Self>, found: Located) -> io::Result<Option<Arc<Entry>>> {
        if let Some(entry) = self.table.get(&found.key).filter(|entry| entry.is_in_memory()) {
            if entry.is_of(&found.path, &found.stamp) {
                entry.confirm(found.at);
                return Ok(Some(entry));
            }
            if self.may_be_unfinished(&entry, &found) {
                return Ok(Some(entry));
            }
        }
        let guard = Arc::clone(self.stripe(&found.key)).lock_owned().await;
        if let Some(entry) = self.table.get(&found.key)
            && entry.is_in_memory()
            && (entry.is_fresh(found.at, self.believed()) || entry.is_of(&found.path, &found.stamp))
        {
            return Ok(Some(entry));
        }
        let shared = Arc::clone(self);
        let load = move || {
            let _guard = guard;
            shared.load(&found)
        };
        self.pool.disk(load).await
    }

    fn stripe(&self, path: &str) -> &Arc<Mutex<()>> {
        let sum = path.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.loads[sum % self.loads.len()]
    }

    /// Whether a file that just changed may be half written: then what it was is still served, as long as no more time
    /// passes than is promised.
    fn may_be_unfinished(&self, entry: &Entry, found: &Located) -> bool {
        let promised = self.config.seen_within;
        let since = found.at.duration_since(entry.confirmed()).unwrap_or(promised);
        found.stamp.age(Clock::system().now()) < promised / 5 && since < promised * 9 / 10
    }

    /// Reads a file into memory. Blocks.
    fn load(&self, found: &Located) -> io::Result<Option<Arc<Entry>>> {
        let Some(snapshot) = snapshot::read(&found.file, self.config.max_file)? else { return Ok(None) };
        let bytes = Bytes::from(snapshot.bytes);
        let validators = Validators {
            etag: entry::etag(&Sha256::digest(&bytes)),
            last_modified: snapshot.stamp.last_modified(self.config.clock.now()),
        };
        let (len, text) = (bytes.len() as u64, std::str::from_utf8(&bytes).is_ok());
        let content = Content::Memory { bytes, id: BodyId::new() };
        let identity = Variant::new(&self.rules, &found.path, text, len, validators, content);
        let mut entry = Entry::new(&found.path, snapshot.stamp, identity, found.at);
        entry.settled = snapshot.settled;
        let entry = Arc::new(entry);
        self.table.insert(&found.key, Arc::clone(&entry));
        Ok(Some(entry))
    }

    /// A file that is streamed, with its tag if that is known or soon will be.
    async fn large(self: &Arc<Self>, found: Located, names_tag: bool) -> io::Result<Known> {
        let known = self.table.get(&found.key).filter(|entry| !entry.is_in_memory() && entry.stamp == found.stamp);
        let mut entry = match known {
            Some(entry) if entry.pending.is_some() || entry.identity.validators.etag.is_some() => entry,
            _ => self.begin(&found).await?,
        };
        if let Some(mut pending) = entry.pending.clone() {
            let done = async move { while pending.changed().await.is_ok() {} };
            if names_tag {
                done.await;
            } else {
                let _ = tokio::time::timeout(TAG_WAIT, done).await;
            }
            if let Some(hashed) = self.table.get(&found.key).filter(|hashed| hashed.stamp == found.stamp) {
                entry = hashed;
            }
        }
        let source = Source { file: Arc::new(found.file), stamp: found.stamp, pool: self.pool.clone() };
        Ok(Known::Disk(entry, source))
    }

    /// Begins to compute a large file's tag, and tells what can be answered meanwhile.
    async fn begin(self: &Arc<Self>, found: &Located) -> io::Result<Arc<Entry>> {
        let file = found.file.try_clone()?;
        let text = self.pool.disk(move || snapshot::is_text(&file)).await?;
        let mut entry = self.unread(found, None, text);
        if found.stamp.age(Clock::system().now()) < LIVE {
            return Ok(Arc::new(entry));
        }
        let (done, pending) = watch::channel(());
        entry.pending = Some(pending);
        let entry = Arc::new(entry);
        self.table.insert(&found.key, Arc::clone(&entry));
        let (shared, pool, found) = (Arc::clone(self), self.pool.clone(), found.try_clone()?);
        let hash = move || {
            let digest = snapshot::digest(&found.file, &found.stamp);
            // Only in the place of what it was begun for: the file may have changed since.
            if shared.table.get(&found.key).is_some_and(|known| known.stamp == found.stamp) {
                let digest = digest.as_ref().ok().and_then(Option::as_deref);
                shared.table.insert(&found.key, Arc::new(shared.unread(&found, digest, text)));
            }
            drop(done);
            digest
        };
        // A task of its own: the client may leave, and the work is not lost.
        tokio::spawn(async move {
            if let Err(error) = pool.hash(hash).await {
                tracing::warn!(%error, "a file could not be read for its tag");
            }
        });
        Ok(entry)
    }

    /// What is known of a file that stays on disk.
    fn unread(&self, found: &Located, digest: Option<&[u8]>, text: bool) -> Entry {
        let validators = Validators {
            etag: digest.and_then(entry::etag),
            last_modified: found.stamp.last_modified(self.config.clock.now()),
        };
        let identity = Variant::new(&self.rules, &found.path, text, found.stamp.len, validators, Content::Disk);
        Entry::new(&found.path, found.stamp, identity, found.at)
    }
}

// === impl Located ===

impl Located {
    fn try_clone(&self) -> io::Result<Self> {
        let (key, path, file) = (self.key.clone(), self.path.clone(), self.file.try_clone()?);
        Ok(Self { key, path, file, stamp: self.stamp, at: self.at })
    }
}
