//! [`StreamLedger`]: the record of the streams of an HTTP/2 connection.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;

use super::{Pace, Tick, pace::MinPace};

/// The record of the streams of an HTTP/2 connection.
#[derive(Debug, Default)]
pub(crate) struct StreamLedger {
    /// Bodies of requests that handlers wait for.
    pub(crate) requests: Transfers,
    /// Bodies of responses that clients take piece by piece.
    pub(crate) responses: Transfers,
    /// The streams that have data and no window.
    blocked: AtomicU32,
}

/// The bodies of a connection's streams in one direction that had to wait for the client. Each has
/// a pace of its own, so that a fast one does not hide a slow one.
#[derive(Debug, Default)]
pub(crate) struct Transfers(Mutex<Vec<Arc<Transfer>>>);

/// The body of one stream that had to wait for the client.
#[derive(Debug, Default)]
pub(crate) struct Transfer {
    moved: AtomicU64,
    waiting: AtomicBool,
    timed_out: AtomicBool,
    waker: AtomicWaker,
    pace: Mutex<Pace>,
}

// === impl StreamLedger ===

impl StreamLedger {
    /// Records that a stream has data and no window.
    pub(crate) fn block(&self) {
        self.blocked.fetch_add(1, Relaxed);
    }

    pub(crate) fn unblock(&self) {
        self.blocked.fetch_sub(1, Relaxed);
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed) > 0
    }
}

// === impl Transfers ===

impl Transfers {
    pub(crate) fn watch(&self) -> Arc<Transfer> {
        let transfer = Arc::<Transfer>::default();
        self.all().push(transfer.clone());
        transfer
    }

    pub(crate) fn forget(&self, transfer: &Arc<Transfer>) {
        self.all().retain(|known| !Arc::ptr_eq(known, transfer));
    }

    /// Ends those that were too slow in the last `passed` milliseconds.
    pub(crate) fn time_out(&self, passed: Tick, min: MinPace) {
        for transfer in self.all().iter() {
            let mut pace = transfer.pace.lock().unwrap_or_else(PoisonError::into_inner);
            if pace.is_too_slow(transfer.waiting.load(Relaxed), transfer.moved.load(Relaxed), passed, min) {
                transfer.timed_out.store(true, Release);
                transfer.waker.wake();
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Transfer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Transfer ===

impl Transfer {
    /// Begins to wait for the client.
    pub(crate) fn wait(&self) {
        self.waiting.store(true, Relaxed);
    }

    /// Returns `true` if the client took too long. Otherwise wakes `waker` once it does.
    pub(crate) fn is_timed_out(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.timed_out.load(Acquire)
    }

    /// Counts bytes that moved, and stops waiting.
    pub(crate) fn advance(&self, bytes: usize) {
        self.waiting.store(false, Relaxed);
        self.moved.fetch_add(bytes as u64, Relaxed);
    }
}
