//! [`Pool`]: the origins of a client, and the closing of their idle connections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::address::Address;
use super::origin::Origin;
use super::shared::{Shared, Sweep};
use super::tls;
use crate::{Config, Error, Protocol};

/// The origins of a client.
pub(super) struct Pool {
    pub(super) shared: Arc<Shared>,
    /// The origins by their address, their limit of connections in use, and their protocol.
    origins: Mutex<HashMap<(Address, usize, Protocol), Arc<Origin>>>,
    /// `true` if a task closes idle connections.
    is_sweeping: AtomicBool,
}

// === impl Pool ===

impl Pool {
    /// A pool without origins.
    ///
    /// # Errors
    /// [`Error::Certificates`] if `ca_file` cannot be read.
    pub(super) fn new(config: Config) -> Result<Arc<Self>, Error> {
        let extra_roots = config.ca_file.as_deref().map(tls::read_file).transpose()?;
        Ok(Arc::new_cyclic(|pool: &Weak<Self>| {
            let shared = Arc::new(Shared::new(config, extra_roots, pool.clone()));
            Self { shared, origins: Mutex::default(), is_sweeping: AtomicBool::new(false) }
        }))
    }

    /// The origin at `address` with this limit of connections in use.
    pub(super) fn origin(
        &self,
        address: Address,
        max_connections: usize,
        protocol: Protocol,
    ) -> Result<Arc<Origin>, Error> {
        let key = (address, max_connections, protocol);
        if let Some(origin) = self.origins.lock().get(&key) {
            return Ok(origin.clone());
        }
        let origin = Arc::new(Origin::new(key.0.clone(), max_connections, protocol, self.shared.clone())?);
        Ok(self.origins.lock().entry(key).or_insert(origin).clone())
    }

    /// Closes what has been idle for too long, and forgets origins without connections.
    fn sweep(&self, now: Instant) {
        let origins: Vec<_> = self.origins.lock().values().cloned().collect();
        origins.iter().for_each(|origin| origin.sweep(now));
        drop(origins);
        self.origins.lock().retain(|_, origin| Arc::strong_count(origin) > 1 || !origin.is_unused());
    }

    /// Returns `true` if the sweeping task has to go on.
    fn keeps_sweeping(&self) -> bool {
        let has_idle = || self.shared.stats.idle.load(Ordering::SeqCst) > 0;
        if has_idle() {
            return true;
        }
        self.is_sweeping.store(false, Ordering::SeqCst);
        // A connection that became idle before the store saw this task at work and started none.
        has_idle() && !self.is_sweeping.swap(true, Ordering::SeqCst)
    }
}

impl Sweep for Pool {
    fn start(self: Arc<Self>) {
        // One task is enough: a connection that is used again and again becomes idle each time.
        if self.is_sweeping.swap(true, Ordering::SeqCst) {
            return;
        }
        let (pool, pause) = (Arc::downgrade(&self), self.shared.config.idle_timeout);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(pool) = pool.upgrade() else { return };
                pool.sweep(Instant::now());
                if !pool.keeps_sweeping() {
                    return;
                }
            }
        });
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shared { config, stats, .. } = &*self.shared;
        f.debug_struct("Pool").field("config", config).field("stats", stats).finish_non_exhaustive()
    }
}
