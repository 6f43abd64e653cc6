//! Identical reads that wait at one moment become one.
//!
//! For each read at most one is under way and one waits. Who comes while one is under way may not
//! have its answer, for that may be older than what the newcomer has seen; it waits for the next
//! one, and with it all who come meanwhile. So a crowd costs two reads, and every answer is at
//! least as new as its request.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use tokio::sync::watch;

use crate::error::Error;

/// What a read is told by: the query and its parameters.
pub(super) type Key = (usize, SmallVec<[u8; 32]>);

/// The reads that are under way, each with the next of its kind.
pub(super) struct Flights<T>(Mutex<Map<T>>);

type Map<T> = HashMap<Key, Option<Next<T>>, foldhash::fast::RandomState>;

type Next<T> = Arc<watch::Sender<Phase<T>>>;

/// How far the read is that waits for the one under way.
enum Phase<T> {
    Waiting,
    Go,
    Done(Result<T, Error>),
}

/// What one who came is to do.
pub(super) enum Flight<'a, T> {
    /// To read, and to tell by [`Turn::done`].
    Read(Turn<'a, T>),
    /// Nothing: another has read since this one came.
    Joined(Result<T, Error>),
}

/// A read that is under way. When it ends, or is dropped, the next of its kind begins; those that
/// wait for its answer and get none find another.
pub(super) struct Turn<'a, T> {
    flights: &'a Flights<T>,
    key: &'a Key,
    /// Where the others wait, if it had to wait for its turn itself.
    phase: Option<Next<T>>,
}

enum Role<'a, T> {
    Read(Turn<'a, T>),
    Follow(watch::Receiver<Phase<T>>),
}

// === impl Flights ===

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Flights<T> {
    /// Comes with a read, and waits for its turn or for the answer of another one that began after
    /// this was called.
    pub(super) async fn enter<'a>(&'a self, key: &'a Key) -> Flight<'a, T> {
        loop {
            match self.role(key) {
                Role::Read(turn) => {
                    if let Some(phase) = &turn.phase {
                        // It cannot fail: this holds a sender.
                        let _ = phase.subscribe().wait_for(|phase| matches!(phase, Phase::Go)).await;
                    }
                    return Flight::Read(turn);
                }
                Role::Follow(mut phase) => {
                    // It fails when the one that was to read gave up: the loop finds another.
                    if let Ok(phase) = phase.wait_for(|phase| matches!(phase, Phase::Done(_))).await
                        && let Phase::Done(result) = &*phase
                    {
                        return Flight::Joined(result.clone());
                    }
                }
            }
        }
    }

    fn role<'a>(&'a self, key: &'a Key) -> Role<'a, T> {
        let mut map = self.map();
        let phase = match map.get_mut(key) {
            None => {
                map.insert(key.clone(), None);
                None
            }
            Some(Some(next)) => return Role::Follow(next.subscribe()),
            Some(next) => next.insert(Arc::new(watch::Sender::new(Phase::Waiting))).clone().into(),
        };
        Role::Read(Turn { flights: self, key, phase })
    }
}

impl<T: Clone> Turn<'_, T> {
    /// Tells the answer to those that wait for it.
    pub(super) fn done(self, result: &Result<T, Error>) {
        if let Some(phase) = &self.phase {
            phase.send_replace(Phase::Done(result.clone()));
        }
    }
}

impl<T> Flights<T> {
    /// The one under way has ended: the next begins, if there is one. From here on newcomers wait
    /// for the one after it.
    fn ended(&self, key: &Key) {
        let mut map = self.map();
        match map.get_mut(key).map(Option::take) {
            Some(Some(next)) => drop(next.send_replace(Phase::Go)),
            Some(None) => drop(map.remove(key)),
            None => {}
        }
    }

    fn map(&self) -> MutexGuard<'_, Map<T>> {
        self.0.lock()
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        if let Some(phase) = &self.phase {
            let mut map = self.flights.map();
            if let Some(next) = map.get_mut(self.key)
                && next.as_ref().is_some_and(|next| Arc::ptr_eq(next, phase))
            {
                // Its turn has not come.
                *next = None;
                return;
            }
        }
        self.flights.ended(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    fn key() -> Key {
        (1, SmallVec::from_slice(&[7]))
    }

    async fn join<F: Future<Output = Result<u32, Error>>>(
        flights: &Flights<u32>,
        key: &Key,
        read: impl FnOnce() -> F,
    ) -> (Result<u32, Error>, bool) {
        match flights.enter(key).await {
            Flight::Read(turn) => {
                let result = read().await;
                turn.done(&result);
                (result, false)
            }
            Flight::Joined(result) => (result, true),
        }
    }

    /// A read that ends when it is told to, and counts that it began.
    async fn read(began: &AtomicU32, end: oneshot::Receiver<u32>) -> Result<u32, Error> {
        began.fetch_add(1, Ordering::Relaxed);
        Ok(end.await.unwrap())
    }

    #[tokio::test]
    async fn a_crowd_costs_two_reads_and_none_gets_an_older_answer() {
        let (flights, key, began) = (Flights::default(), key(), AtomicU32::new(0));
        let (end_first, first) = oneshot::channel();
        let (end_second, second) = oneshot::channel();
        let mut one = Box::pin(join(&flights, &key, || read(&began, first)));
        assert!(one.as_mut().now_or_never().is_none());
        let mut two = Box::pin(join(&flights, &key, || read(&began, second)));
        assert!(two.as_mut().now_or_never().is_none());
        let mut rest: Vec<_> =
            (0..5).map(|_| Box::pin(join(&flights, &key, || async { panic!("a third read") }))).collect();
        for one in &mut rest {
            assert!(one.as_mut().now_or_never().is_none());
        }
        assert_eq!(began.load(Ordering::Relaxed), 1, "the second waits for the first");
        end_first.send(1).unwrap();
        assert!(matches!(one.await, (Ok(1), false)));
        assert!(two.as_mut().now_or_never().is_none());
        assert_eq!(began.load(Ordering::Relaxed), 2);
        end_second.send(2).unwrap();
        assert!(matches!(two.await, (Ok(2), false)));
        for one in rest {
            assert!(matches!(one.await, (Ok(2), true)));
        }
        assert!(flights.map().is_empty());
    }

    #[tokio::test]
    async fn who_leads_may_leave() {
        let (flights, key) = (Flights::default(), key());
        for turn_came in [false, true] {
            let (end, first) = oneshot::channel();
            let began = AtomicU32::new(0);
            let mut one = Box::pin(join(&flights, &key, || read(&began, first)));
            assert!(one.as_mut().now_or_never().is_none());
            let mut lead = Box::pin(join(&flights, &key, std::future::pending));
            assert!(lead.as_mut().now_or_never().is_none());
            let mut follower = Box::pin(join(&flights, &key, || async { Ok(3) }));
            assert!(follower.as_mut().now_or_never().is_none());
            if turn_came {
                end.send(1).unwrap();
                assert!(matches!(one.await, (Ok(1), false)));
                assert!(lead.as_mut().now_or_never().is_none());
                drop(lead);
            } else {
                drop(lead);
                end.send(1).unwrap();
                assert!(matches!(one.await, (Ok(1), false)));
            }
            assert!(matches!(follower.await, (Ok(3), false)));
            assert!(flights.map().is_empty());
        }
    }
}
