//! [`Relay`]: wake-ups between the two halves of a connection, which run in one task.
//!
//! The task that waits for a response also drives the connection. The two halves wake each other
//! all the time: a request wakes the driver, and the driver wakes the reader. To the runtime, the
//! task would seem to wake itself. After a connection has changed hands, it would seem to wake its
//! last task. Each time, the runtime would look for events and poll that task in vain. So both
//! halves wake a relay. While the task runs, the relay only notes which half to poll again.
//! Otherwise it wakes the task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// Set while the task is inside [`Relay::poll`].
const RUNNING: u8 = 1 << 7;
/// Set when the half that moves bytes was woken.
const DRIVER: u8 = 1 << 0;
/// Set when the half that waits for the response was woken.
const READER: u8 = 1 << 1;

/// Wakes the task that uses a connection, unless that task is running.
pub(super) struct Relay {
    shared: Arc<Shared>,
    driver: Waker,
    reader: Waker,
}

#[derive(Default)]
struct Shared {
    flags: AtomicU8,
    task: Mutex<Option<Waker>>,
}

/// The waker of one half.
struct Half<const FLAG: u8>(Arc<Shared>);

// === impl Relay ===

impl Relay {
    pub(super) fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let driver = Waker::from(Arc::new(Half::<DRIVER>(shared.clone())));
        let reader = Waker::from(Arc::new(Half::<READER>(shared.clone())));
        Self { shared, driver, reader }
    }

    /// Polls both halves, as often as they wake each other: `drive` moves bytes, and `read` waits
    /// for the result.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        drive_first: bool,
        mut drive: impl FnMut(&mut Context<'_>),
        mut read: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.shared.enter(cx.waker());
        let mut later = 0;
        // The reader is polled right after `drive` in any case. A driver that wakes itself yields:
        // it is polled later.
        let mut drive = || {
            drive(&mut Context::from_waker(&self.driver));
            later |= self.shared.take() & DRIVER;
        };
        if drive_first {
            drive();
        }
        let mut polled = read(&mut Context::from_waker(&self.reader));
        let woken = if polled.is_pending() { self.shared.take() } else { 0 };
        if polled.is_pending() && (!drive_first || woken & DRIVER != 0) {
            // The connection may have waited for a reader.
            drive();
            polled = read(&mut Context::from_waker(&self.reader));
        } else {
            later |= woken;
        }
        later |= self.shared.leave();
        if polled.is_pending() && later != 0 {
            cx.waker().wake_by_ref();
        }
        polled
    }

    /// Polls `drive` while no task uses the connection.
    pub(super) fn poll_alone(&self, drive: impl FnOnce(&mut Context<'_>)) {
        *self.shared.task.lock() = None;
        drive(&mut Context::from_waker(&self.driver));
    }
}

// === impl Shared ===

impl Shared {
    /// Notes that the task of `waker` runs.
    fn enter(&self, waker: &Waker) {
        let mut task = self.task.lock();
        if !task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            *task = Some(waker.clone());
        }
        drop(task);
        self.flags.store(RUNNING, Ordering::Release);
    }

    /// Takes the halves that were woken since the last call.
    fn take(&self) -> u8 {
        self.flags.swap(RUNNING, Ordering::AcqRel) & !RUNNING
    }

    /// Notes that the task no longer runs. Takes the halves that were woken.
    fn leave(&self) -> u8 {
        self.flags.swap(0, Ordering::AcqRel) & !RUNNING
    }

    /// Wakes one half.
    fn wake(&self, flag: u8) {
        if self.flags.fetch_or(flag, Ordering::AcqRel) & RUNNING == 0 {
            let task = self.task.lock().take();
            if let Some(task) = task {
                task.wake();
            }
        }
    }
}

// === impl Half ===

impl<const FLAG: u8> Wake for Half<FLAG> {
    fn wake(self: Arc<Self>) {
        self.0.wake(FLAG);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake(FLAG);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls once. Returns the wake-ups of the task, and the polls of each half.
    fn poll(drive: fn(&Waker, &Waker), read: fn(&Waker, &Waker) -> Poll<()>) -> (usize, [usize; 2], Relay) {
        let (relay, count) = (Relay::new(), Arc::new(Count::default()));
        let (driver, reader) = (relay.driver.clone(), relay.reader.clone());
        let mut polls = [0, 0];
        let [drives, reads] = &mut polls;
        let _ = relay.poll(
            &mut Context::from_waker(&Waker::from(count.clone())),
            true,
            |_| {
                *drives += 1;
                drive(&driver, &reader);
            },
            |_| {
                *reads += 1;
                read(&driver, &reader)
            },
        );
        let woken = count.0.load(Ordering::Relaxed);
        reader.wake_by_ref();
        driver.wake_by_ref();
        assert!(count.0.load(Ordering::Relaxed) <= woken + 1, "one wake-up is enough");
        (woken, polls, relay)
    }

    #[test]
    fn halves_wake_each_other_without_the_task() {
        let (woken, polls, _) = poll(|_, reader| reader.wake_by_ref(), |_, _| Poll::Pending);
        assert_eq!((woken, polls), (0, [1, 1]));
        let (woken, polls, _) = poll(
            |_, _| (),
            |driver, _| {
                driver.wake_by_ref();
                Poll::Pending
            },
        );
        assert_eq!((woken, polls), (1, [2, 2]), "the driver is polled again after the reader woke it");
        let (woken, ..) = poll(|driver, _| driver.wake_by_ref(), |_, _| Poll::Pending);
        assert_eq!(woken, 1, "a driver that yields is polled again");
        let (woken, polls, _) = poll(|driver, _| driver.wake_by_ref(), |_, _| Poll::Ready(()));
        assert_eq!((woken, polls), (0, [1, 1]));
    }

    #[test]
    fn events_from_outside_wake_the_task() {
        let (relay, count) = (Relay::new(), Arc::new(Count::default()));
        let waker = Waker::from(count.clone());
        let wait = |relay: &Relay| {
            let _ = relay.poll(&mut Context::from_waker(&waker), true, |_| (), |_| Poll::<()>::Pending);
        };
        wait(&relay);
        relay.driver.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        wait(&relay);
        relay.poll_alone(|_| ());
        relay.driver.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "the task no longer uses the connection");
    }
}
