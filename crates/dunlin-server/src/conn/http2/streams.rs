//! [`Streams`]: the bodies of HTTP/2 streams, each with a pace of its own.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use pin_project_lite::pin_project;

use crate::reaper::Pace;

/// Bodies of a connection's streams in one direction, of which the client was waited for; one that is slow is not hidden
/// by another that is not.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<Vec<Arc<Awaited>>>);

/// The body of a stream's request once a handler had to wait for it, or that of its answer.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    moved: AtomicU64,
    waiting: AtomicBool,
    timed_out: AtomicBool,
    waker: AtomicWaker,
    /// The reaper's.
    pace: Mutex<Pace>,
}

pin_project! {
    /// What hyper runs for a stream. Dropping it resets the stream: so one ends whose client does not take its answer.
    pub(super) struct Stream<F> {
        #[pin]
        future: Option<F>,
        answer: Option<Arc<Awaited>>,
    }
}

thread_local! {
    /// The answer of the stream that is polled, for its [`Stream`] to take. hyper has no way from one to the other.
    static ANSWER: RefCell<Option<Arc<Awaited>>> = const { RefCell::new(None) };
}

// === impl Streams ===

impl Streams {
    /// Takes in another body.
    pub(super) fn watch(&self) -> Arc<Awaited> {
        let awaited = Arc::<Awaited>::default();
        self.all().push(awaited.clone());
        awaited
    }

    /// Takes in the body of the answer that is polled.
    pub(super) fn watch_answer(&self) -> Arc<Awaited> {
        let awaited = self.watch();
        ANSWER.set(Some(awaited.clone()));
        awaited
    }

    pub(super) fn forget(&self, awaited: &Arc<Awaited>) {
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
    pub(super) fn begin(&self) {
        self.waiting.store(true, Relaxed);
    }

    /// Whether it was waited for too long; the waker is told if it is later.
    pub(super) fn is_over(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.timed_out.load(Acquire)
    }

    /// Something moved.
    pub(super) fn came(&self, bytes: usize) {
        self.waiting.store(false, Relaxed);
        self.moved.fetch_add(bytes as u64, Relaxed);
    }
}

// === impl Stream ===

impl<F> Stream<F> {
    pub(super) const fn new(future: F) -> Self {
        Self { future: Some(future), answer: None }
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        let polled = future.poll(cx);
        if let Some(answer) = ANSWER.take() {
            *this.answer = Some(answer);
        }
        if polled.is_pending() && this.answer.as_ref().is_some_and(|answer| answer.is_over(cx.waker())) {
            this.future.set(None);
            return Poll::Ready(());
        }
        polled
    }
}
