//! [`Turn`]: how much a connection writes at once.

use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

/// How much a connection has written since its task was last polled.
#[derive(Debug, Default)]
pub(crate) struct Turn(AtomicUsize);

/// What a connection may write before others have their turn. A reader that takes as fast as is written would else hold
/// the loop to the end of its answer.
const MOST: usize = 1 << 20;

// === impl Turn ===

impl Turn {
    /// The task is polled: it may write as much as may be in one go.
    pub(crate) fn begin(&self) {
        self.0.store(0, Relaxed);
    }

    pub(crate) fn count(&self, n: usize) {
        // One task writes, so no read-modify-write is needed.
        self.0.store(self.0.load(Relaxed) + n, Relaxed);
    }

    /// How much may be written now; pending when it is the others' turn.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let left = MOST.saturating_sub(self.0.load(Relaxed));
        if left > 0 {
            return Poll::Ready(left);
        }
        self.begin();
        // Wakes this task once all others that can go on have, and the loop has looked for news.
        let _ = std::pin::pin!(tokio::task::yield_now()).poll(cx);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
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
        let (turn, woken) = (Turn::default(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut poll = || turn.poll(&mut cx);
        assert_eq!(poll(), Poll::Ready(MOST));
        turn.count(MOST - 1);
        assert_eq!(poll(), Poll::Ready(1));
        turn.count(1);
        assert_eq!((poll(), woken.0.load(Relaxed)), (Poll::Pending, 1));
        assert_eq!(poll(), Poll::Ready(MOST));
        turn.count(MOST + 5);
        turn.begin();
        assert_eq!((poll(), woken.0.load(Relaxed)), (Poll::Ready(MOST), 1));
    }
}
