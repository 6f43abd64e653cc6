//! The connections of a pool that reads share.

mod connection;
mod keeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::shares::Share;

pub(super) use self::connection::{Plan, SharedConnection};
pub(super) use self::keeper::keep;

/// The number of reads of one turn of the loop that go to one connection before the next one is
/// used. They leave in one write.
const BATCH: usize = 8;

/// The shared connections of a pool. [`keep`] opens, watches and renews them.
pub(super) struct SharedConnections {
    open: Mutex<Vec<Arc<SharedConnection>>>,
    /// The number that the pool is to have.
    share: Arc<Share>,
    opened: Notify,
    /// `true` if the keeper looks rarely, because no read is in flight.
    resting: AtomicBool,
}

// === impl SharedConnections ===

impl SharedConnections {
    pub(super) fn new(share: Arc<Share>) -> Self {
        Self { open: Mutex::default(), share, opened: Notify::new(), resting: AtomicBool::new(false) }
    }

    pub(super) const fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// The number of connections that the pool is to have.
    pub(super) fn limit(&self) -> usize {
        self.share.count()
    }

    /// The connection for the next read. One that others are about to use is preferred, so that
    /// their reads leave in one write; then the least busy one. A stalled one is the last resort.
    pub(super) fn pick(&self) -> Option<Arc<SharedConnection>> {
        if self.resting.load(Ordering::Relaxed) {
            self.resting.store(false, Ordering::Relaxed);
            self.share.wake.notify_one();
        }
        let connections = self.connections();
        let mut best: Option<(&Arc<SharedConnection>, usize)> = None;
        for connection in connections.iter().filter(|connection| connection.is_open()) {
            let rank = match (connection.is_stalled(), connection.queued()) {
                (true, _) => usize::MAX / 2 + connection.waiting(),
                (false, 1..BATCH) => return Some(connection.clone()),
                (false, _) => connection.waiting(),
            };
            if best.is_none_or(|(_, least)| rank < least) {
                best = Some((connection, rank));
            }
        }
        best.map(|(connection, _)| connection.clone())
    }

    /// Waits for a connection.
    pub(super) async fn wait(&self) -> Arc<SharedConnection> {
        loop {
            let opened = self.opened.notified();
            tokio::pin!(opened);
            // It is registered before the look, so that no connection is missed.
            opened.as_mut().enable();
            if let Some(connection) = self.pick() {
                return connection;
            }
            opened.await;
        }
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Arc<SharedConnection>>> {
        self.open.lock()
    }

    fn add(&self, connection: Arc<SharedConnection>) {
        self.connections().push(connection);
        self.opened.notify_waiters();
    }

    fn remove(&self, connection: &Arc<SharedConnection>) {
        self.connections().retain(|other| !Arc::ptr_eq(other, connection));
    }
}
