//! A few threads for what would hold the event loop too long.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Job = Box<dyn FnOnce() + Send>;

/// A thread that had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(10);

/// A pool with a cap on its threads and on what waits for them. Threads start when there is work
/// for them. When it is dropped, what waits is dropped too.
pub(crate) struct Workers {
    inner: Arc<Inner>,
}

struct Inner {
    /// The most threads.
    cap: usize,
    /// The most jobs that wait: one for each permit.
    room: Arc<Semaphore>,
    /// Whether its threads stand back for all others, where a thread can.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "niceness is a whole process's there"))]
    gentle: bool,
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
    /// For work that somebody waits for.
    pub(crate) fn new(cap: usize) -> Self {
        Self::with(cap, cap * 16, false)
    }

    /// For work that nobody waits for: one thread, at the lowest priority.
    pub(crate) fn background(queue: usize) -> Self {
        Self::with(1, queue, true)
    }

    fn with(cap: usize, queue: usize, gentle: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                cap,
                room: Arc::new(Semaphore::new(queue)),
                gentle,
                state: Mutex::default(),
                wake: Condvar::new(),
            }),
        }
    }

    /// Has `job` done, in order. Gives it back when there is no room for it.
    pub(crate) fn submit<J: FnOnce() + Send + 'static>(&self, job: J) -> Result<(), J> {
        match self.try_room() {
            Some(room) => self.submit_in(room, job),
            None => Err(job),
        }
    }

    /// Whether there are no threads, nor ever will be.
    pub(crate) fn is_none(&self) -> bool {
        self.inner.cap == 0
    }

    /// Room for a job, if there is some now.
    pub(crate) fn try_room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.room).try_acquire_owned().ok()
    }

    /// Waits for room, in the order of asking.
    pub(crate) fn room(&self) -> impl Future<Output = OwnedSemaphorePermit> + Send + use<> {
        let room = Arc::clone(&self.inner.room);
        async move {
            match room.acquire_owned().await {
                Ok(room) => room,
                // It is never closed.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Has `job` done, in room that was waited for. Gives it back when no thread can be started.
    pub(crate) fn submit_in<J: FnOnce() + Send + 'static>(&self, room: OwnedSemaphorePermit, job: J) -> Result<(), J> {
        let mut state = self.inner.state.lock();
        if state.idle <= state.jobs.len() && state.threads < self.inner.cap {
            let inner = Arc::clone(&self.inner);
            let thread = std::thread::Builder::new().name("dunlin-compress".into()).spawn(move || inner.run());
            state.threads += usize::from(thread.is_ok());
        }
        if state.threads == 0 {
            return Err(job);
        }
        state.jobs.push_back((room, Box::new(job)));
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
        if self.gentle {
            // Here niceness is a thread's own. Where it cannot be had, the work is done all the
            // same.
            let _ = rustix::process::nice(19);
        }
        let mut state = self.state.lock();
        loop {
            if let Some((room, job)) = state.jobs.pop_front() {
                parking_lot::MutexGuard::unlocked(&mut state, move || {
                    drop(room);
                    job();
                });
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let timed_out = self.wake.wait_for(&mut state, IDLE).timed_out();
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
    fn no_more_threads_and_no_longer_a_queue_than_the_caps() {
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
        let mut room = Box::pin(workers.room());
        assert!(room.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(closed);
        assert_eq!(starts.iter().take(3).count(), 3);
        let room = loop {
            if let Poll::Ready(room) = room.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                break room;
            }
            std::thread::yield_now();
        };
        let (done, is_done) = mpsc::channel();
        workers.submit_in(room, move || done.send(()).unwrap()).map_err(drop).unwrap();
        is_done.recv().unwrap();
    }

    #[test]
    fn none_takes_nothing() {
        assert!(Workers::new(0).submit(|| {}).is_err() && Workers::new(0).is_none());
    }

    #[test]
    fn what_waits_is_dropped_with_the_pool() {
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
