//! [`Streams`]: the bodies of HTTP/2 streams, each with a pace of its own.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;

use crate::reaper::Pace;

/// Bodies of a connection's streams in one direction, of which the client was waited for; one that is slow is not hidden
/// by another that is not.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<Vec<Arc<Awaited>>>);

/// The body of a stream's request once a handler had to wait for it, or that of its answer.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    moved: AtomicU64,
    waiting: AtomicBool,
    timed_out: AtomicBool,
    waker: AtomicWaker,
    /// The reaper's.
    pace: Mutex<Pace>,
}

// === impl Streams ===

impl Streams {
    /// Takes in another body.
    pub(crate) fn watch(&self) -> Arc<Awaited> {
        let awaited = Arc::<Awaited>::default();
        self.all().push(awaited.clone());
        awaited
    }

    pub(crate) fn forget(&self, awaited: &Arc<Awaited>) {
        self.all().retain(|known| !Arc::ptr_eq(known, awaited));
    }

    /// Ends those that `is_too_slow` by whether they are waited for, and their bytes until now.
    pub(crate) fn time_out(&self, mut is_too_slow: impl FnMut(&mut Pace, bool, u64) -> bool) {
        for awaited in self.all().iter() {
            let mut pace = awaited.pace.lock().unwrap_or_else(PoisonError::into_inner);
            if is_too_slow(&mut pace, awaited.waiting.load(Relaxed), awaited.moved.load(Relaxed)) {
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
    /// From now on the client is waited for.
    pub(crate) fn begin(&self) {
        self.waiting.store(true, Relaxed);
    }

    /// Whether it was waited for too long; the waker is told if it is later.
    pub(crate) fn is_over(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.timed_out.load(Acquire)
    }

    /// Something moved.
    pub(crate) fn came(&self, bytes: usize) {
        self.waiting.store(false, Relaxed);
        self.moved.fetch_add(bytes as u64, Relaxed);
    }
}
