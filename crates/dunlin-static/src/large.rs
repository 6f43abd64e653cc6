//! Files that are too long to be held in memory at once: their tags, and the load of hot ones.
//! [`lookup`](crate::lookup) has a diagram.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::entry::Entry;
use crate::located::Located;
use crate::lookup::Lookup;
use crate::shared::Shared;
use crate::snapshot;

/// The time that a response waits for a large file's tag, unless the request names a tag.
const TAG_WAIT: Duration = Duration::from_millis(100);

/// A large file that changed less than this ago may still be changing. It gets no tag yet.
const MIN_AGE: Duration = Duration::from_secs(2);

// === impl Shared ===

impl Shared {
    /// Returns a file that is streamed, with its tag if the tag is known in time.
    pub(crate) async fn large_file(self: &Arc<Self>, located: Box<Located>, names_tag: bool) -> io::Result<Lookup> {
        let mut entry = match self.tagged_entry(&located) {
            Some(entry) => entry,
            None => self.start_hashing(&located).await?,
        };
        if let Some(mut pending) = entry.pending.clone() {
            let hashed = async move { while pending.changed().await.is_ok() {} };
            if names_tag {
                hashed.await;
            } else {
                let _ = tokio::time::timeout(TAG_WAIT, hashed).await;
            }
            if let Some(hashed) = self.table.get(&located.key).filter(|hashed| hashed.stamp == located.stamp) {
                entry = hashed;
            }
        }
        entry.count_request();
        // `claim_hot` comes last: it is true for one caller only.
        if entry.identity.validators.etag.is_some()
            && located.stamp.len <= self.hot_len_limit()
            && !entry.is_in_memory()
            && entry.claim_hot()
        {
            self.load_hot_file(located.try_clone()?);
        }
        Ok(Lookup::Disk(entry, located))
    }

    /// Loads a hot file into memory, in a task of its own. The current response is still streamed.
    fn load_hot_file(self: &Arc<Self>, located: Located) {
        let (shared, pool) = (Arc::clone(self), self.pool.clone());
        tokio::spawn(async move {
            if let Err(error) = pool.hash(move || shared.load(&located, shared.hot_len_limit())).await {
                tracing::warn!(%error, "a large file could not be loaded into memory: it is still streamed");
            }
        });
    }

    /// The entry of a large file whose tag is known or being computed.
    fn tagged_entry(&self, located: &Located) -> Option<Arc<Entry>> {
        let entry = self.table.get(&located.key)?;
        let has_tag = entry.is_pending() || entry.identity.validators.etag.is_some();
        (has_tag && entry.matches(located)).then_some(entry)
    }

    /// Starts to compute a large file's tag. Returns an entry that has no tag yet.
    async fn start_hashing(self: &Arc<Self>, located: &Located) -> io::Result<Arc<Entry>> {
        // Concurrent requests hash a file once: after the lock, they find the pending entry.
        let _guard = self.load_lock(&located.key).lock().await;
        if let Some(entry) = self.tagged_entry(located) {
            return Ok(entry);
        }
        let file = located.file.try_clone()?;
        let text = self.pool.disk(move || snapshot::is_text(&file)).await?;
        let mut entry = self.disk_entry(located, None, text);
        if located.stamp.age(self.config.clock.now()) < MIN_AGE {
            return Ok(Arc::new(entry));
        }
        let (done, pending) = watch::channel(());
        entry.pending = Some(pending);
        let entry = Arc::new(entry);
        self.table.insert(&located.key, Arc::clone(&entry));
        let (shared, located) = (Arc::clone(self), located.try_clone()?);
        let hash = move || {
            let hashed = shared.hash(&located, text).map(Arc::new);
            shared.replace_pending(&located, &hashed);
            drop(done);
            hashed.map(drop)
        };
        // In a task of its own, so that the tag is computed even if the client leaves.
        let pool = self.pool.clone();
        tokio::spawn(async move {
            if let Err(error) = pool.hash(hash).await {
                tracing::warn!(%error, "a large file could not be read for its tag: it is sent without one");
            }
        });
        Ok(entry)
    }

    /// Puts the hashed entry in the place of the pending one, unless the file changed since.
    fn replace_pending(&self, located: &Located, hashed: &io::Result<Arc<Entry>>) {
        let is_pending = |entry: Arc<Entry>| entry.stamp == located.stamp && !entry.is_in_memory();
        if !self.table.get(&located.key).is_some_and(is_pending) {
            return;
        }
        match hashed {
            Ok(entry) => self.table.insert(&located.key, Arc::clone(entry)),
            Err(_) => self.table.remove(&located.key),
        }
    }
}

#[cfg(test)]
mod tests;
