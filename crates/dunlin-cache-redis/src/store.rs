//! [`RedisStore`].

use std::sync::Arc;
use std::thread;

use dunlin_cache::store::{Invalidation, Listener, Loaded, Saved, Store};
use dunlin_http::BoxError;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::config::Config;
use crate::connection::{Command, Connector};
use crate::error::Error;
use crate::shared::Shared;
use crate::stats::Stats;
use crate::subscription::{Listeners, Subscriber};

/// The unit in which bytes in flight are counted.
const PERMIT_BYTES: usize = 1024;

/// A second level of a cache on Redis or Valkey.
///
/// Clones are handles to the same store. The connection ends with the last of them.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    lookup_permits: Arc<Semaphore>,
    byte_permits: Arc<Semaphore>,
    listeners: Arc<Listeners>,
}

// === impl RedisStore ===

impl RedisStore {
    /// Opens the store without waiting for the server. While the server is away, nothing is shared
    /// and nothing fails.
    ///
    /// # Errors
    ///
    /// [`Error`], if the URL is invalid, the certificates cannot be read, or the system has no
    /// thread left.
    pub fn open(config: Config) -> Result<Self, Error> {
        let client = config.client()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let (shared, listeners) = (Arc::new(Shared::default()), Arc::new(Listeners::default()));
        let (commands, receiver) = mpsc::unbounded_channel();
        let lookup_permits = Arc::new(Semaphore::new(config.max_lookups));
        let byte_permits = Arc::new(Semaphore::new(config.max_unsent / PERMIT_BYTES));
        let instance = format!("{:032x}", fastrand::u128(..));
        let subscriber = Subscriber {
            client: client.clone(),
            config: config.clone(),
            instance: instance.clone(),
            shared: Arc::clone(&shared),
            listeners: Arc::clone(&listeners),
        };
        let connector = Connector { client, config, instance, shared: Arc::clone(&shared) };
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = connector.run(receiver) => {}
                    () = subscriber.run() => {}
                }
            });
        };
        thread::Builder::new().name("dunlin-cache-redis".to_owned()).spawn(run).map_err(Error::Thread)?;
        Ok(Self { shared, commands, lookup_permits, byte_permits, listeners })
    }

    /// The counts so far, and the state of the connections.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    async fn look_up(&self, key: &str) -> Option<Loaded> {
        if !self.shared.is_usable() {
            return None;
        }
        let Ok(permit) = Arc::clone(&self.lookup_permits).try_acquire_owned() else {
            self.shared.counters.dropped.increment();
            return None;
        };
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::LookUp { key: key.to_owned(), reply, permit }).ok()?;
        // The connection enforces the timeout: it drops the sender then.
        let loaded = answer.await.ok()?;
        self.shared.pending.is_clear().then_some(loaded)
    }
}

impl Store for RedisStore {
    async fn load(&self, key: &str) -> Result<Option<Loaded>, BoxError> {
        let loaded = self.look_up(key).await;
        let counters = &self.shared.counters;
        let hit = loaded.as_ref().is_some_and(|loaded| !loaded.variants.is_empty());
        if hit { &counters.hits } else { &counters.misses }.increment();
        Ok(loaded)
    }

    fn save(&self, key: &str, saved: Saved) {
        if !self.shared.is_usable() || saved.ttl.is_zero() {
            return;
        }
        let permits = u32::try_from(saved.entry.len().div_ceil(PERMIT_BYTES).max(1)).unwrap_or(u32::MAX);
        match Arc::clone(&self.byte_permits).try_acquire_many_owned(permits) {
            Ok(permit) => {
                // The receiver is gone only when the process ends.
                let _ = self.commands.send(Command::Keep { key: key.to_owned(), saved, permit });
            }
            Err(_) => self.shared.counters.dropped.increment(),
        }
    }

    fn invalidate(&self, invalidation: &Invalidation) {
        self.shared.pending.add(invalidation.into());
    }

    fn listen(&self, listener: Listener) {
        self.listeners.add(listener);
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("stats", &self.stats()).finish()
    }
}
