//! [`WriteBudget`]: how much a connection writes before other tasks run.

use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

/// The bytes that a connection has written since its task was last polled.
#[derive(Debug, Default)]
pub(crate) struct WriteBudget(AtomicUsize);

/// The limit of one poll. A client that reads as fast as the server writes would otherwise hold the
/// loop to the end of its response.
const LIMIT: usize = 1 << 20;

// === impl WriteBudget ===

impl WriteBudget {
    /// Restores the whole budget: the task is polled.
    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    pub(super) fn count(&self, n: usize) {
        // One task writes, so no read-modify-write is needed.
        self.0.store(self.0.load(Relaxed) + n, Relaxed);
    }

    /// The bytes that may be written now. Pending once the budget is used up; the task is woken
    /// after others have run.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let left = LIMIT.saturating_sub(self.0.load(Relaxed));
        if left > 0 {
            return Poll::Ready(left);
        }
        self.reset();
        // Wakes this task after all others that can run, and after the loop has polled for events.
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
    fn a_budget_that_is_used_up_comes_back_at_the_next_poll() {
        let (budget, woken) = (WriteBudget::default(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut poll = || budget.poll(&mut cx);
        assert_eq!(poll(), Poll::Ready(LIMIT));
        budget.count(LIMIT - 1);
        assert_eq!(poll(), Poll::Ready(1));
        budget.count(1);
        assert_eq!((poll(), woken.0.load(Relaxed)), (Poll::Pending, 1));
        assert_eq!(poll(), Poll::Ready(LIMIT));
        budget.count(LIMIT + 5);
        budget.reset();
        assert_eq!((poll(), woken.0.load(Relaxed)), (Poll::Ready(LIMIT), 1));
    }
}
