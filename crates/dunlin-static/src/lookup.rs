//! Finds the file of a path: in the table while its entry is fresh, else on the disk.
//!
//! [`Files`](crate::Files) responds from a fresh entry in memory by itself. All other requests come
//! to [`Shared::find`]. It opens the path, and goes on by the length of the file:
//!
//! ```text
//! path ──► resolve ─┬─► missing, folder, or folder without its slash
//!                   │
//!                   ├─► length ≤ limit: small_file
//!                   │     unchanged ──────────► memory ── hot ──► sealed
//!                   │     changed just now ───► memory, with the old content
//!                   │     else: load ─┬───────► memory
//!                   │                 └───────► too long by now: resolve again
//!                   │
//!                   └─► length > limit: large_file
//!                         changed just now ───► disk, without a tag
//!                         else: hash ─────────► disk, tag pending ──► disk, with a tag
//!                                                                       │
//!                                               sealed ◄── load ◄── hot ┘
//! ```
//!
//! *memory*, *sealed*, *tag pending* and *with a tag* are states of an [`Entry`] in the table. Only
//! content of 32 KiB and more is sealed. A file *without a tag* changed less than two seconds ago,
//! and has no entry. An entry leaves the table if its file is missing, or if the table is full.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use dunlin_http::Clock;

use crate::entry::Entry;
use crate::located::Located;
use crate::resolve::{Found, resolve};
use crate::root::Wait;
use crate::shared::Shared;
use crate::siblings::Siblings;

/// The outcome of a lookup.
pub(crate) enum Lookup {
    /// A file in memory.
    Memory(Arc<Entry>),
    /// A file on disk, open.
    Disk(Arc<Entry>, Box<Located>),
    /// A folder that was requested without its final slash.
    Unslashed,
    /// A folder without an index, open.
    Folder(File),
    /// Nothing that is served.
    Missing,
}

/// The outcome of a look at the disk.
enum DiskLookup {
    Found(Found),
    /// A file that was not in the table, and is now.
    Loaded(Arc<Entry>),
}

// === impl Shared ===

impl Shared {
    /// Looks `path` up. `names_tag` says that the response depends on the file's tag.
    pub(crate) async fn find(self: &Arc<Self>, path: &str, names_tag: bool) -> io::Result<Lookup> {
        // Between two steps, a file may grow beyond the limit or shrink below it.
        for _ in 0..4 {
            let found = match self.look_at_disk(path, self.config.clock.now()).await? {
                DiskLookup::Loaded(entry) => return Ok(Lookup::Memory(entry)),
                DiskLookup::Found(found) => found,
            };
            match found {
                Found::Unslashed => return Ok(Lookup::Unslashed),
                Found::Folder(folder) => return Ok(Lookup::Folder(folder)),
                Found::Missing => {
                    self.table.remove(path);
                    return Ok(Lookup::Missing);
                }
                Found::File(located) => {
                    let limit = self.len_limit(path);
                    if located.stamp.len > limit {
                        return self.large_file(located, names_tag).await;
                    }
                    if let Some(entry) = self.small_file(located, limit).await? {
                        return Ok(Lookup::Memory(entry));
                    }
                }
            }
        }
        Err(io::Error::other("the file changes faster than it can be read"))
    }

    /// Resolves a path on the loop if the kernel has all of it in memory, else in the pool.
    async fn look_at_disk(self: &Arc<Self>, path: &str, now: SystemTime) -> io::Result<DiskLookup> {
        match self.resolve(path, now, Wait::No) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            found => return found.map(DiskLookup::Found),
        }
        let (shared, path) = (Arc::clone(self), path.to_owned());
        let look = move || {
            let found = shared.resolve(&path, now, Wait::Yes)?;
            // A small file without an entry is loaded at once, unless another request loads it.
            // This saves the way to the loop and back.
            if let Found::File(located) = &found
                && located.stamp.len <= shared.config.max_file
                && let Ok(_guard) = shared.load_lock(&path).try_lock()
                && shared.table.get(&path).is_none()
                && let Some(entry) = shared.load(located, shared.config.max_file)?
            {
                return Ok(DiskLookup::Loaded(entry));
            }
            Ok(DiskLookup::Found(found))
        };
        self.pool.disk(look).await
    }

    fn resolve(&self, path: &str, now: SystemTime, wait: Wait) -> io::Result<Found> {
        self.check_root(now, wait)?;
        let mut found = resolve(&self.root, path, now, &self.config, wait)?;
        if let Found::File(located) = &mut found
            && self.config.precompressed
        {
            located.siblings = Siblings::find(&self.root, &located.path, wait)?;
        }
        Ok(found)
    }

    /// Compares the root with its path if the last comparison is too old.
    fn check_root(&self, now: SystemTime, wait: Wait) -> io::Result<()> {
        let nanos = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let age = nanos.wrapping_sub(self.root_checked.load(Ordering::Relaxed));
        if u128::from(age) < self.check_interval().as_nanos() {
            return Ok(());
        }
        match self.root.refresh(wait) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the root is missing from its path: serving the folder that was there");
            }
            Ok(()) => {}
        }
        self.root_checked.store(nanos, Ordering::Relaxed);
        Ok(())
    }

    /// Returns a file that is held in memory, or `None` if it has become longer than `limit`.
    async fn small_file(self: &Arc<Self>, located: Box<Located>, limit: u64) -> io::Result<Option<Arc<Entry>>> {
        if let Some(entry) = self.table.get(&located.key).filter(|entry| entry.is_in_memory()) {
            if entry.matches(&located) {
                entry.set_checked(located.looked_up_at);
                return self.seal_if_hot(located.key, entry).await.map(Some);
            }
            if self.may_be_unfinished(&entry, &located) {
                return Ok(Some(entry));
            }
        }
        let guard = Arc::clone(self.load_lock(&located.key)).lock_owned().await;
        if let Some(entry) = self.table.get(&located.key)
            && entry.is_in_memory()
            && (entry.is_fresh(located.looked_up_at, self.check_interval()) || entry.matches(&located))
        {
            return Ok(Some(entry));
        }
        let shared = Arc::clone(self);
        let load = move || {
            let _guard = guard;
            shared.load(&located, limit)
        };
        self.pool.disk(load).await
    }

    /// Seals an unchanged entry once it is hot.
    async fn seal_if_hot(self: &Arc<Self>, key: String, entry: Arc<Entry>) -> io::Result<Arc<Entry>> {
        if entry.can_be_sealed() {
            entry.count_request();
        }
        if !entry.claim_hot() {
            return Ok(entry);
        }
        let shared = Arc::clone(self);
        let seal = move || {
            let sealed = Arc::new(entry.sealed());
            // The file may have changed since. Then the table has another entry, which stays.
            shared.table.replace(&key, &entry, &sealed);
            Ok(sealed)
        };
        self.pool.disk(seal).await
    }

    /// Returns `true` if a file that changed just now may be half written. Its old content is
    /// served until [`Config::seen_within`](crate::Config::seen_within) is almost over.
    fn may_be_unfinished(&self, entry: &Entry, located: &Located) -> bool {
        let within = self.config.seen_within;
        let unchecked_for = located.looked_up_at.duration_since(entry.checked_at()).unwrap_or(within);
        located.stamp.age(Clock::system().now()) < within / 5 && unchecked_for < within * 9 / 10
    }
}
