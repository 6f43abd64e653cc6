//! The way to work that may wait for a disk: the runtime's blocking threads, a bounded number of
//! them.

use std::io;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// How much may wait for the disk at once.
#[derive(Clone)]
pub(crate) struct Pool {
    disk: Arc<Semaphore>,
    hash: Arc<Semaphore>,
}

/// Opens and reads at once: enough to keep a disk's queue full, few enough not to fill the machine
/// with threads.
const DISK: usize = 32;
/// Large files hashed at once. Each takes a core.
const HASH: usize = 2;

// === impl Pool ===

impl Pool {
    pub(crate) fn new() -> Self {
        Self { disk: Arc::new(Semaphore::new(DISK)), hash: Arc::new(Semaphore::new(HASH)) }
    }

    /// Runs short work that waits for the disk. Once begun it runs to its end, even if nobody waits
    /// for it any more.
    pub(crate) async fn disk<T, F>(&self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        run(Arc::clone(&self.disk), work).await
    }

    /// Runs long work that reads whole files.
    pub(crate) async fn hash<T, F>(&self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        run(Arc::clone(&self.hash), work).await
    }
}

async fn run<T, F>(permits: Arc<Semaphore>, work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    done.await.map_err(io::Error::other)?
}
