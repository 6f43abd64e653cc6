//! [`Workers`]: a few threads for work that would block the event loop too long.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Job = Box<dyn FnOnce() + Send>;

/// The time after which an idle thread ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A pool with limits for its threads and for its queue. Threads start when there is work for them.
/// On drop, the queued jobs are dropped too.
pub(crate) struct Workers {
    inner: Arc<Inner>,
}

struct Inner {
    max_threads: usize,
    /// A permit for each slot of the queue.
    slots: Arc<Semaphore>,
    /// `true` if its threads have the lowest priority, on systems where threads have priorities.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there, niceness is of the whole process"))]
    low_priority: bool,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(OwnedSemaphorePermit, Job)>,
    threads: usize,
    idle: usize,
    closed: bool,
}

// === impl Workers ===

impl Workers {
    /// Makes a pool for work that clients wait for.
    pub(crate) fn new(max_threads: usize) -> Self {
        Self::with(max_threads, max_threads * 16, false)
    }

    /// Makes a pool for background work: one thread, with the lowest priority.
    pub(crate) fn background(queue: usize) -> Self {
        Self::with(1, queue, true)
    }

    fn with(max_threads: usize, queue: usize, low_priority: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                max_threads,
                slots: Arc::new(Semaphore::new(queue)),
                low_priority,
                state: Mutex::default(),
                wake: Condvar::new(),
            }),
        }
    }

    /// Queues `job`. Returns it if the queue is full.
    pub(crate) fn submit<J: FnOnce() + Send + 'static>(&self, job: J) -> Result<(), J> {
        match self.try_reserve() {
            Some(slot) => self.submit_with(slot, job),
            None => Err(job),
        }
    }

    /// Returns `true` if the pool never has a thread.
    pub(crate) fn has_no_threads(&self) -> bool {
        self.inner.max_threads == 0
    }

    /// Reserves a slot of the queue, if one is free now.
    pub(crate) fn try_reserve(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.slots).try_acquire_owned().ok()
    }

    /// Waits for a slot of the queue, first come, first served.
    pub(crate) fn reserve(&self) -> impl Future<Output = OwnedSemaphorePermit> + Send + use<> {
        let slots = Arc::clone(&self.inner.slots);
        async move {
            match slots.acquire_owned().await {
                Ok(slot) => slot,
                // The semaphore is never closed.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Queues `job` in a reserved slot. Returns it if no thread can be started.
    pub(crate) fn submit_with<J: FnOnce() + Send + 'static>(
        &self,
        slot: OwnedSemaphorePermit,
        job: J,
    ) -> Result<(), J> {
        let mut state = self.inner.state.lock();
        if state.idle <= state.jobs.len() && state.threads < self.inner.max_threads {
            let inner = Arc::clone(&self.inner);
            let thread = std::thread::Builder::new().name("dunlin-compress".into()).spawn(move || inner.run());
            state.threads += usize::from(thread.is_ok());
        }
        if state.threads == 0 {
            return Err(job);
        }
        state.jobs.push_back((slot, Box::new(job)));
        self.inner.wake.notify_one();
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.inner.state.lock();
        state.closed = true;
        let jobs = std::mem::take(&mut state.jobs);
        self.inner.wake.notify_all();
        drop(state);
        drop(jobs);
    }
}

// === impl Inner ===

impl Inner {
    fn run(&self) {
        #[cfg(target_os = "linux")]
        if self.low_priority {
            // On Linux, each thread has its own niceness. A failure does not matter to the work.
            let _ = rustix::process::nice(19);
        }
        let mut state = self.state.lock();
        loop {
            if let Some((slot, job)) = state.jobs.pop_front() {
                parking_lot::MutexGuard::unlocked(&mut state, move || {
                    drop(slot);
                    job();
                });
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let timed_out = self.wake.wait_for(&mut state, IDLE_TIMEOUT).timed_out();
            state.idle -= 1;
            if timed_out && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn threads_and_queue_stay_within_their_limits() {
        let workers = Workers::with(2, 3, false);
        let (started, starts) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock();
        let mut taken = 0;
        let mut submit = || {
            let (started, gate) = (started.clone(), Arc::clone(&gate));
            let fits = workers.submit(move || {
                started.send(()).unwrap();
                drop(gate.lock());
            });
            taken += usize::from(fits.is_ok());
            fits.map_err(drop)
        };
        for _ in 0..2 {
            submit().unwrap();
            starts.recv().unwrap();
        }
        for _ in 0..3 {
            submit().unwrap();
        }
        assert!(submit().is_err());
        assert_eq!(workers.inner.state.lock().threads, 2);
        let mut reservation = Box::pin(workers.reserve());
        assert!(reservation.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(closed);
        assert_eq!(starts.iter().take(3).count(), 3);
        let slot = loop {
            if let Poll::Ready(slot) = reservation.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                break slot;
            }
            std::thread::yield_now();
        };
        let (done, is_done) = mpsc::channel();
        workers.submit_with(slot, move || done.send(()).unwrap()).map_err(drop).unwrap();
        is_done.recv().unwrap();
    }

    #[test]
    fn a_pool_without_threads_takes_no_job() {
        assert!(Workers::new(0).submit(|| {}).is_err() && Workers::new(0).has_no_threads());
    }

    #[test]
    fn queued_jobs_are_dropped_with_the_pool() {
        let workers = Workers::with(1, 8, true);
        let (hold, held) = mpsc::channel::<()>();
        assert!(workers.submit(move || held.recv().unwrap_or_default()).is_ok());
        let (sender, receiver) = mpsc::channel::<()>();
        assert!(workers.submit(move || drop(sender)).is_ok());
        drop(workers);
        assert!(receiver.recv().is_err());
        drop(hold);
    }
}
