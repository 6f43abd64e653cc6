//! What is known of a path: from the table when it is fresh, from the disk when not.

use std::fs::{File, Metadata};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use dunlin_http::Clock;
use dunlin_http::negotiate::Coding;
use tokio::sync::{Mutex, watch};

use crate::Config;
use crate::entry::Entry;
use crate::pool::Pool;
use crate::resolve::{Found, resolve};
use crate::root::{Root, Wait};
use crate::rules::Rules;
use crate::snapshot;
use crate::stamp::Stamp;
use crate::stream::Source;
use crate::table::Table;
use crate::variant::Siblings;

/// What all clones of a service share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) rules: Rules,
    pub(crate) root: Root,
    pub(crate) table: Table,
    pub(crate) pool: Pool,
    /// One load at a time for paths that share a stripe, so that a path is loaded once however many
    /// ask for it.
    loads: [Arc<Mutex<()>>; 64],
    /// When the root was last looked for by its path, in nanoseconds since 1970.
    root_checked: AtomicU64,
}

/// What is known of a path.
pub(crate) enum Known {
    /// A file in memory.
    Memory(Arc<Entry>),
    /// A file on disk, open.
    Disk(Arc<Entry>, Box<Located>),
    /// A folder that was named without its slash.
    Unslashed,
    /// A folder without an index, open.
    Folder(File),
    /// Nothing that is served.
    Missing,
}

/// What looking at the disk came to.
enum Looked {
    Found(Found),
    /// A file that was not in memory before.
    Loaded(Arc<Entry>),
}

/// A file that was found for a path.
pub(crate) struct Located {
    /// The path that was asked for.
    pub(crate) key: String,
    /// The file's own path: it differs when the file is a folder's index.
    pub(crate) path: String,
    pub(crate) file: File,
    pub(crate) stamp: Stamp,
    /// What stands beside it, if that was looked for.
    pub(crate) siblings: Siblings,
    /// When it was looked for.
    pub(crate) at: SystemTime,
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

    /// How long the table is believed. Half of what is promised: the rest is left for a writer to
    /// finish.
    pub(crate) fn believed(&self) -> Duration {
        self.config.seen_within / 2
    }

    /// Finds out what `path` is now. `names_tag`: the request cannot be answered well without the
    /// file's tag.
    pub(crate) async fn find(self: &Arc<Self>, path: &str, names_tag: bool) -> io::Result<Known> {
        // A file may grow beyond what is held in memory, or shrink to it, between the steps.
        for _ in 0..4 {
            let found = match self.look(path, self.config.clock.now()).await? {
                Looked::Loaded(entry) => return Ok(Known::Memory(entry)),
                Looked::Found(found) => found,
            };
            match found {
                Found::Unslashed => return Ok(Known::Unslashed),
                Found::Folder(folder) => return Ok(Known::Folder(folder)),
                Found::Missing => {
                    self.table.remove(path);
                    return Ok(Known::Missing);
                }
                Found::File(found) => {
                    let limit = self.limit(path);
                    if found.stamp.len > limit {
                        return self.large(found, names_tag).await;
                    }
                    if let Some(entry) = self.small(found, limit).await? {
                        return Ok(Known::Memory(entry));
                    }
                }
            }
        }
        Err(io::Error::other("the file changes faster than it can be read"))
    }

    /// On the loop if the kernel has all of it in memory, else by the pool.
    async fn look(self: &Arc<Self>, path: &str, now: SystemTime) -> io::Result<Looked> {
        match self.resolve(path, now, Wait::No) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            found => return found.map(Looked::Found),
        }
        let (shared, path) = (Arc::clone(self), path.to_owned());
        let look = move || {
            let found = shared.resolve(&path, now, Wait::Yes)?;
            // A small file that nobody knows yet is loaded as well, unless somebody is about it:
            // that saves the way to the loop and back.
            if let Found::File(found) = &found
                && found.stamp.len <= shared.config.max_file
                && let Ok(_guard) = shared.stripe(&path).try_lock()
                && shared.table.get(&path).is_none()
                && let Some(entry) = shared.load(found, shared.config.max_file)?
            {
                return Ok(Looked::Loaded(entry));
            }
            Ok(Looked::Found(found))
        };
        self.pool.disk(look).await
    }

    fn resolve(&self, path: &str, now: SystemTime, wait: Wait) -> io::Result<Found> {
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
        let mut found = resolve(&self.root, path, now, &self.config, wait)?;
        if let Found::File(found) = &mut found
            && self.config.precompressed
        {
            found.siblings = Siblings::find(&self.root, &found.path, wait)?;
        }
        Ok(found)
    }

    /// How large the file at `path` may be to be held: one that was found hot stays so when it
    /// changes.
    fn limit(&self, path: &str) -> u64 {
        let hot = self.table.get(path).is_some_and(|entry| entry.is_in_memory());
        if hot { self.config.max_file.max(self.hot_limit()) } else { self.config.max_file }
    }

    /// How large a file may be to be held because it is asked for often.
    const fn hot_limit(&self) -> u64 {
        self.config.memory as u64 / 4
    }

    /// A file that is held in memory; `None` if it turns out too large.
    async fn small(self: &Arc<Self>, found: Box<Located>, limit: u64) -> io::Result<Option<Arc<Entry>>> {
        if let Some(entry) = self.table.get(&found.key).filter(|entry| entry.is_in_memory()) {
            if entry.is_of(&found.path, &found.stamp, &found.siblings) {
                entry.confirm(found.at);
                return self.kept(found.key, entry).await.map(Some);
            }
            if self.may_be_unfinished(&entry, &found) {
                return Ok(Some(entry));
            }
        }
        let guard = Arc::clone(self.stripe(&found.key)).lock_owned().await;
        if let Some(entry) = self.table.get(&found.key)
            && entry.is_in_memory()
            && (entry.is_fresh(found.at, self.believed()) || entry.is_of(&found.path, &found.stamp, &found.siblings))
        {
            return Ok(Some(entry));
        }
        let shared = Arc::clone(self);
        let load = move || {
            let _guard = guard;
            shared.load(&found, limit)
        };
        self.pool.disk(load).await
    }

    /// A file that is still what it was, from now on sent by the kernel if it turned out hot.
    async fn kept(self: &Arc<Self>, key: String, entry: Arc<Entry>) -> io::Result<Arc<Entry>> {
        if entry.can_be_sealed() {
            entry.count();
        }
        if !entry.take_hot() {
            return Ok(entry);
        }
        let shared = Arc::clone(self);
        let seal = move || {
            let sealed = Arc::new(entry.sealed());
            // Only in the place of what it was made from: the file may have changed since.
            shared.table.replace(&key, &entry, &sealed);
            Ok(sealed)
        };
        self.pool.disk(seal).await
    }

    fn stripe(&self, path: &str) -> &Arc<Mutex<()>> {
        let sum = path.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.loads[sum % self.loads.len()]
    }

    /// Whether a file that just changed may be half written: then what it was is still served, as
    /// long as no more time passes than is promised.
    fn may_be_unfinished(&self, entry: &Entry, found: &Located) -> bool {
        let promised = self.config.seen_within;
        let since = found.at.duration_since(entry.confirmed()).unwrap_or(promised);
        found.stamp.age(Clock::system().now()) < promised / 5 && since < promised * 9 / 10
    }

    /// A file that is streamed, with its tag if that is known or soon will be.
    async fn large(self: &Arc<Self>, found: Box<Located>, names_tag: bool) -> io::Result<Known> {
        let mut entry = match self.begun(&found) {
            Some(entry) => entry,
            None => self.begin(&found).await?,
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
        entry.count();
        // Only what is known whole is worth to be kept, and only once is it begun.
        if entry.identity.validators.etag.is_some()
            && found.stamp.len <= self.hot_limit()
            && !entry.is_in_memory()
            && entry.take_hot()
        {
            self.hold(found.try_clone()?);
        }
        Ok(Known::Disk(entry, found))
    }

    /// Takes a file into memory that was asked for often, while this answer is still streamed.
    fn hold(self: &Arc<Self>, found: Located) {
        let (shared, pool) = (Arc::clone(self), self.pool.clone());
        tokio::spawn(async move {
            if let Err(error) = pool.hash(move || shared.load(&found, shared.hot_limit())).await {
                tracing::warn!(%error, "a file could not be taken into memory");
            }
        });
    }

    /// What is known of a large file whose tag is known, or being computed.
    fn begun(&self, found: &Located) -> Option<Arc<Entry>> {
        let known = self.table.get(&found.key)?;
        let good = known.is_pending() || known.identity.validators.etag.is_some();
        (good && known.is_of(&found.path, &found.stamp, &found.siblings)).then_some(known)
    }

    /// Begins to compute a large file's tag, and tells what can be answered meanwhile.
    async fn begin(self: &Arc<Self>, found: &Located) -> io::Result<Arc<Entry>> {
        // Once, however many ask: the others find it begun.
        let _guard = self.stripe(&found.key).lock().await;
        if let Some(entry) = self.begun(found) {
            return Ok(entry);
        }
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
            let hashed = shared.hash(&found, text).map(Arc::new);
            // Only in the place of what it was begun for: the file may have changed since.
            if shared.table.get(&found.key).is_some_and(|known| known.stamp == found.stamp && !known.is_in_memory()) {
                match &hashed {
                    Ok(entry) => shared.table.insert(&found.key, Arc::clone(entry)),
                    Err(_) => shared.table.remove(&found.key),
                }
            }
            drop(done);
            hashed.map(drop)
        };
        // A task of its own: the client may leave, and the work is not lost.
        tokio::spawn(async move {
            if let Err(error) = pool.hash(hash).await {
                tracing::warn!(%error, "a file could not be read for its tag");
            }
        });
        Ok(entry)
    }
}

// === impl Located ===

impl Located {
    pub(crate) fn new(key: &str, path: String, (file, metadata): (File, &Metadata), at: SystemTime) -> Self {
        let stamp = Stamp::of(metadata);
        Self { key: key.to_owned(), path, file, stamp, siblings: Siblings::default(), at }
    }

    fn try_clone(&self) -> io::Result<Self> {
        let (key, path, file) = (self.key.clone(), self.path.clone(), self.file.try_clone()?);
        Ok(Self { key, path, file, stamp: self.stamp, siblings: self.siblings.try_clone()?, at: self.at })
    }

    /// The open file that has the representation of this coding.
    pub(crate) fn into_source(self, coding: Option<Coding>, pool: Pool) -> Option<Source> {
        let (file, stamp) = match coding {
            None => (self.file, self.stamp),
            Some(coding) => {
                let (_, file, stamp) = self.siblings.0.into_iter().find(|(known, ..)| *known == coding)?;
                (file, stamp)
            }
        };
        Some(Source::new(file, stamp, pool))
    }
}

#[cfg(test)]
mod tests;
