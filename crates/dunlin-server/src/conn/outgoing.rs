//! [`Outgoing`]: how much a connection writes at once, and from where.

use std::future::Future;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use dunlin_http::Mapped;

/// What the service of a connection, its task and its socket tell each other of what is written.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Bytes that were written since the connection's task was last polled.
    turn: AtomicUsize,
    /// Whether there is a mapping that was not taken yet.
    is_mapped: AtomicBool,
    mapping: Mutex<Option<Arc<dyn Mapped>>>,
}

/// What a connection may write before others have their turn. A reader that takes as fast as is written would else hold
/// the loop to the end of its answer.
const TURN: usize = 1 << 20;

// === impl Outgoing ===

impl Outgoing {
    /// The task is polled: it may write as much as may be in one go.
    pub(crate) fn begin_turn(&self) {
        self.turn.store(0, Relaxed);
    }

    pub(crate) fn count(&self, n: usize) {
        // One task writes, so no read-modify-write is needed.
        self.turn.store(self.turn.load(Relaxed) + n, Relaxed);
    }

    /// How much may be written now; pending when it is the others' turn.
    pub(crate) fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let left = TURN.saturating_sub(self.turn.load(Relaxed));
        if left > 0 {
            return Poll::Ready(left);
        }
        self.begin_turn();
        // Wakes this task once all others that can go on have, and the loop has looked for news.
        let _ = std::pin::pin!(tokio::task::yield_now()).poll(cx);
        Poll::Pending
    }

    /// The bytes of the answer that is written next lie in this file.
    pub(crate) fn offer(&self, mapping: Arc<dyn Mapped>) {
        *self.mapping.lock().unwrap_or_else(PoisonError::into_inner) = Some(mapping);
        self.is_mapped.store(true, Release);
    }

    /// What was offered since, if anything was.
    pub(crate) fn take_offered(&self) -> Option<Arc<dyn Mapped>> {
        if !self.is_mapped.load(Relaxed) || !self.is_mapped.swap(false, AcqRel) {
            return None;
        }
        self.mapping.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_turn_ends_and_another_comes() {
        let (outgoing, woken) = (Outgoing::default(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut poll = || outgoing.poll_turn(&mut cx);
        assert_eq!(poll(), Poll::Ready(TURN));
        outgoing.count(TURN - 1);
        assert_eq!(poll(), Poll::Ready(1));
        outgoing.count(1);
        assert_eq!((poll(), woken.0.load(Relaxed)), (Poll::Pending, 1));
        assert_eq!(poll(), Poll::Ready(TURN));
        outgoing.count(TURN + 5);
        outgoing.begin_turn();
        assert_eq!((poll(), woken.0.load(Relaxed)), (Poll::Ready(TURN), 1));
    }
}
