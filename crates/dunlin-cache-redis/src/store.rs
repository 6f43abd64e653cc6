//! [`RedisStore`]: the handle.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use dunlin_cache::store::{Invalidation, Listener, Loaded, Saved, Store};
use dunlin_http::BoxError;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::config::Config;
use crate::feed::{self, Ears};
use crate::link::{self, Command, Shared};
use crate::stats::Stats;

/// Bytes are counted in pieces of this size.
const PIECE: usize = 1024;

/// A second level of a cache on Redis or Valkey. Its clones are one store; the connection ends with
/// the last of them.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    lookups: Arc<Semaphore>,
    unsent: Arc<Semaphore>,
    ears: Arc<Ears>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL is none of a Redis or Valkey server.
    #[error("not the URL of a Redis or Valkey server: {0}")]
    Url(#[source] redis::RedisError),
    /// The file of certificates cannot be read.
    #[error("{0}: cannot be read: {1}")]
    Certificates(PathBuf, #[source] std::io::Error),
    /// There is no thread to be had.
    #[error("cannot start a thread for the shared cache: {0}")]
    Thread(#[source] std::io::Error),
}

// === impl RedisStore ===

impl RedisStore {
    /// Opens the store. It does not wait for the server, which may come and go: without it nothing
    /// is shared, and nothing fails.
    ///
    /// # Errors
    ///
    /// [`Error`], when the URL is none, the certificates cannot be read, or the system has no
    /// thread left.
    pub fn open(config: Config) -> Result<Self, Error> {
        let client = config.client()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let (shared, ears) = (Arc::new(Shared::default()), Arc::new(Ears::default()));
        let (commands, receiver) = mpsc::unbounded_channel();
        let lookups = Arc::new(Semaphore::new(config.max_lookups));
        let unsent = Arc::new(Semaphore::new(config.max_unsent / PIECE));
        let instance = format!("{:032x}", fastrand::u128(..));
        let feed =
            feed::listen(client.clone(), config.clone(), instance.clone(), Arc::clone(&shared), Arc::clone(&ears));
        let link = link::run(client, config, instance, Arc::clone(&shared), receiver);
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = link => {}
                    () = feed => {}
                }
            });
        };
        thread::Builder::new().name("dunlin-cache-redis".to_owned()).spawn(run).map_err(Error::Thread)?;
        Ok(Self { shared, commands, lookups, unsent, ears })
    }

    /// What it has done, and whether the server is there.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.read(self.shared.up.load(SeqCst), self.shared.listening.load(SeqCst))
    }

    fn is_usable(&self) -> bool {
        // What the server has may be out of date while it does not know of an invalidation.
        self.shared.up.load(SeqCst) && self.shared.pending.is_clear()
    }

    async fn ask(&self, key: &str) -> Option<Loaded> {
        if !self.is_usable() {
            return None;
        }
        let Ok(permit) = Arc::clone(&self.lookups).try_acquire_owned() else {
            self.shared.counters.dropped.add();
            return None;
        };
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::LookUp { key: key.to_owned(), reply, permit }).ok()?;
        // It comes, or is given up, within the time that a command has.
        let loaded = answer.await.ok()?;
        self.shared.pending.is_clear().then_some(loaded)
    }
}

impl Store for RedisStore {
    async fn load(&self, key: &str) -> Result<Option<Loaded>, BoxError> {
        let loaded = self.ask(key).await;
        let counters = &self.shared.counters;
        let hit = loaded.as_ref().is_some_and(|loaded| !loaded.variants.is_empty());
        if hit { &counters.hits } else { &counters.misses }.add();
        Ok(loaded)
    }

    fn save(&self, key: &str, saved: Saved) {
        if !self.is_usable() || saved.ttl.is_zero() {
            return;
        }
        let pieces = u32::try_from(saved.entry.len().div_ceil(PIECE).max(1)).unwrap_or(u32::MAX);
        match Arc::clone(&self.unsent).try_acquire_many_owned(pieces) {
            Ok(permit) => {
                // Nobody receives any more only when the process ends.
                let _ = self.commands.send(Command::Keep { key: key.to_owned(), saved, permit });
            }
            Err(_) => self.shared.counters.dropped.add(),
        }
    }

    fn invalidate(&self, what: &Invalidation) {
        self.shared.pending.add(what.into());
    }

    fn listen(&self, listener: Listener) {
        self.ears.add(listener);
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("stats", &self.stats()).finish()
    }
}
