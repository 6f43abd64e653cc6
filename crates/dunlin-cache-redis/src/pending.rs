//! [`Pending`]: invalidations that the server does not know of yet.
//!
//! They wait here until the server has them. Waiting invalidations are merged, so that their memory
//! is limited however long that takes. Meanwhile nothing is read from the server.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::batch::Batch;

/// The invalidations of this instance that the server has not confirmed.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: Mutex<Batch>,
    /// The number of invalidations so far.
    added: AtomicU64,
    /// The number of these that the server has confirmed.
    confirmed: AtomicU64,
    new_batch: Notify,
}

// === impl Pending ===

impl Pending {
    /// Returns `true` if the server has confirmed every invalidation of this instance.
    pub(crate) fn is_clear(&self) -> bool {
        self.added.load(SeqCst) == self.confirmed.load(SeqCst)
    }

    pub(crate) fn add(&self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        {
            // The count changes under the lock, so that it always agrees with the batch.
            let mut waiting = self.waiting.lock();
            self.added.fetch_add(1, SeqCst);
            waiting.merge(batch);
        }
        self.new_batch.notify_one();
    }

    /// Waits for a batch. Returns it with the count to pass to [`Pending::confirm`].
    pub(crate) async fn next(&self) -> (Batch, u64) {
        loop {
            let new_batch = self.new_batch.notified();
            {
                let mut waiting = self.waiting.lock();
                if !waiting.is_empty() {
                    return (std::mem::take(&mut waiting), self.added.load(SeqCst));
                }
            }
            new_batch.await;
        }
    }

    /// Notes that the server knows of all invalidations up to `count`.
    pub(crate) fn confirm(&self, count: u64) {
        self.confirmed.fetch_max(count, SeqCst);
    }

    /// Puts a batch back that did not reach the server.
    pub(crate) fn put_back(&self, batch: Batch) {
        self.waiting.lock().merge(batch);
        self.new_batch.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::MAX_NAMES;

    fn groups(names: impl IntoIterator<Item = String>) -> Batch {
        Batch { groups: names.into_iter().collect(), ..Batch::default() }
    }

    #[tokio::test]
    async fn a_batch_that_was_put_back_waits_with_later_ones() {
        let pending = Pending::default();
        assert!(pending.is_clear());
        pending.add(groups(["a".into()]));
        let (batch, _) = pending.next().await;
        pending.add(groups(["b".into()]));
        pending.put_back(batch);
        assert!(!pending.is_clear());
        let (batch, count) = pending.next().await;
        assert_eq!(batch, groups(["a".into(), "b".into()]));
        pending.confirm(count);
        assert!(pending.is_clear());
    }

    #[tokio::test]
    async fn too_many_names_invalidate_everything() {
        let pending = Pending::default();
        pending.add(groups((0..=MAX_NAMES).map(|i| i.to_string())));
        assert_eq!(pending.next().await.0, Batch { all: true, ..Batch::default() });
    }
}
