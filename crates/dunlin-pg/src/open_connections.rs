//! [`OpenConnections`]: the dedicated connections of a process, and how deadpool opens them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connect::{Connector, Opened, drive};

/// Opens connections for deadpool, within the budget.
pub(crate) struct DedicatedConnector {
    pub(crate) connector: Arc<Connector>,
    pub(crate) open: Arc<OpenConnections>,
}

/// The dedicated connections that are open, over all pools of the process.
pub(crate) struct OpenConnections {
    /// A permit for each.
    permits: Arc<Semaphore>,
    /// For each pool a function that closes an idle connection, so that another pool may open one.
    evictions: Mutex<Vec<Evict>>,
}

/// Closes one idle connection of a pool if the argument is `true`. Returns `true` if it closed one,
/// and `None` if the pool is gone.
pub(crate) type Evict = Box<dyn Fn(bool) -> Option<bool> + Send + Sync>;

// === impl OpenConnections ===

impl OpenConnections {
    pub(crate) fn new(limit: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(limit)), evictions: Mutex::default() }
    }

    /// The number of open connections, if `limit` is the limit.
    pub(crate) fn count(&self, limit: usize) -> usize {
        limit - self.permits.available_permits()
    }

    /// Waits for a permit. The caller holds a permit to use a connection already, so if all are
    /// open, one is idle.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Some(permit);
        }
        self.evict();
        self.permits.clone().acquire_owned().await.ok()
    }

    /// Adds the function of a pool, and forgets those of pools that are gone.
    pub(crate) fn add(&self, evict: Evict) {
        let mut evictions = self.evictions.lock();
        evictions.retain(|evict| evict(false).is_some());
        evictions.push(evict);
    }

    fn evict(&self) {
        let mut done = false;
        let mut evictions = self.evictions.lock();
        evictions.retain(|evict| {
            let closed = evict(!done);
            done |= closed == Some(true);
            closed.is_some()
        });
    }
}

impl deadpool_postgres::Connect for DedicatedConnector {
    fn connect(
        &self,
        _: &tokio_postgres::Config,
    ) -> Pin<Box<dyn Future<Output = Result<Opened, tokio_postgres::Error>> + Send + '_>> {
        Box::pin(async move {
            let permit = self.open.permit().await;
            let (client, connection) = self.connector.connect("").await?;
            Ok((client, drive(connection, permit, Arc::default())))
        })
    }
}
