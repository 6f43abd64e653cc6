//! [`Pool`]: a bounded share of the runtime's blocking threads, for work that may wait for a disk.

use std::io;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Limits for concurrent work on the runtime's blocking threads.
#[derive(Clone)]
pub(crate) struct Pool {
    disk: Arc<Semaphore>,
    hash: Arc<Semaphore>,
}

/// The limit of concurrent opens and reads. It keeps a disk's queue full without filling the
/// machine with threads.
const MAX_DISK: usize = 32;
/// The limit of concurrently hashed large files. Each takes a core.
const MAX_HASH: usize = 2;

// === impl Pool ===

impl Pool {
    pub(crate) fn new() -> Self {
        Self { disk: Arc::new(Semaphore::new(MAX_DISK)), hash: Arc::new(Semaphore::new(MAX_HASH)) }
    }

    /// Runs short work that waits for the disk. Once started it runs to its end, even if the
    /// returned future is dropped.
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
