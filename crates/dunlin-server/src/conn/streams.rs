//! [`Streams`]: the bodies of HTTP/2 streams that handlers wait for, each with a pace of its own.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;

use crate::reaper::Pace;

/// The bodies of a connection's streams that were waited for; one that is slow is not hidden by another that is not.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<Vec<Arc<Awaited>>>);

/// The body of a stream's request, once a handler had to wait for it.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    read: AtomicU64,
    waiting: AtomicBool,
    timed_out: AtomicBool,
    waker: AtomicWaker,
    /// The reaper's.
    pace: Mutex<Pace>,
}

// === impl Streams ===

impl Streams {
    /// Takes in another body.
    pub(super) fn watch(&self) -> Arc<Awaited> {
        let awaited = Arc::<Awaited>::default();
        self.all().push(awaited.clone());
        awaited
    }

    pub(super) fn forget(&self, awaited: &Arc<Awaited>) {
        self.all().retain(|known| !Arc::ptr_eq(known, awaited));
    }

    /// Tells the readers of those that `is_too_slow` by whether they are waited for, and their bytes until now.
    pub(crate) fn time_out(&self, mut is_too_slow: impl FnMut(&mut Pace, bool, u64) -> bool) {
        for awaited in self.all().iter() {
            let mut pace = awaited.pace.lock().unwrap_or_else(PoisonError::into_inner);
            if is_too_slow(&mut pace, awaited.waiting.load(Relaxed), awaited.read.load(Relaxed)) {
                awaited.timed_out.store(true, Release);
                awaited.waker.wake();
            }
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Awaited>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Awaited ===

impl Awaited {
    /// Nothing came; whether that was for too long.
    pub(super) fn wait(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.waiting.store(true, Relaxed);
        self.timed_out.load(Acquire)
    }

    /// Something came.
    pub(super) fn came(&self, bytes: usize) {
        self.waiting.store(false, Relaxed);
        self.read.fetch_add(bytes as u64, Relaxed);
    }
}
