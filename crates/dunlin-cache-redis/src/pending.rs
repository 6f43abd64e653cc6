//! Invalidations that the server does not know of yet.
//!
//! They wait here for as long as it takes, merged so that they need no more room the longer it
//! takes. While any waits, what the server has is not used.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use dunlin_cache::store::Invalidation;
use tokio::sync::Notify;

/// Names beyond this are not told apart any more: everything is invalidated.
const MOST_NAMES: usize = 10_000;

/// What is to be invalidated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) all: bool,
    pub(crate) groups: HashSet<String>,
    pub(crate) keys: HashSet<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: Mutex<Batch>,
    /// How many were added, and how many of these the server knows of.
    added: AtomicU64,
    told: AtomicU64,
    news: Notify,
}

// === impl Batch ===

impl From<&Invalidation> for Batch {
    fn from(what: &Invalidation) -> Self {
        let set = |names: &[String]| names.iter().cloned().collect();
        Self { all: what.all, groups: set(&what.groups), keys: set(&what.keys) }
    }
}

impl From<Batch> for Invalidation {
    fn from(batch: Batch) -> Self {
        Self { all: batch.all, groups: batch.groups.into_iter().collect(), keys: batch.keys.into_iter().collect() }
    }
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.groups.is_empty() && self.keys.is_empty()
    }

    fn merge(&mut self, other: Batch) {
        self.all |= other.all;
        self.groups.extend(other.groups);
        self.keys.extend(other.keys);
        if self.all || self.groups.len() + self.keys.len() > MOST_NAMES {
            *self = Batch { all: true, ..Batch::default() };
        }
    }
}

// === impl Pending ===

impl Pending {
    /// Whether the server knows of all that was ever invalidated here.
    pub(crate) fn is_clear(&self) -> bool {
        self.added.load(SeqCst) == self.told.load(SeqCst)
    }

    pub(crate) fn add(&self, batch: Batch) {
        if !batch.is_empty() {
            {
                // Counted under the lock: what is taken and what is counted must be the same.
                let mut waiting = self.lock();
                self.added.fetch_add(1, SeqCst);
                waiting.merge(batch);
            }
            self.news.notify_one();
        }
    }

    /// What waits, and the count to give to [`Pending::told`].
    pub(crate) async fn next(&self) -> (Batch, u64) {
        loop {
            let news = self.news.notified();
            {
                let mut waiting = self.lock();
                if !waiting.is_empty() {
                    return (std::mem::take(&mut waiting), self.added.load(SeqCst));
                }
            }
            news.await;
        }
    }

    /// The server knows of all up to this count.
    pub(crate) fn told(&self, count: u64) {
        self.told.fetch_max(count, SeqCst);
    }

    /// The server could not be told.
    pub(crate) fn put_back(&self, batch: Batch) {
        self.lock().merge(batch);
        self.news.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Batch> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(names: impl IntoIterator<Item = String>) -> Batch {
        Batch { groups: names.into_iter().collect(), ..Batch::default() }
    }

    #[tokio::test]
    async fn what_could_not_be_told_waits_with_what_comes() {
        let pending = Pending::default();
        assert!(pending.is_clear());
        pending.add(groups(["a".into()]));
        let (batch, _) = pending.next().await;
        pending.add(groups(["b".into()]));
        pending.put_back(batch);
        assert!(!pending.is_clear());
        let (batch, count) = pending.next().await;
        assert_eq!(batch, groups(["a".into(), "b".into()]));
        pending.told(count);
        assert!(pending.is_clear());
    }

    #[tokio::test]
    async fn too_many_names_become_all() {
        let pending = Pending::default();
        pending.add(groups((0..=MOST_NAMES).map(|i| i.to_string())));
        assert_eq!(pending.next().await.0, Batch { all: true, ..Batch::default() });
    }
}
