//! Collapses identical reads that are in flight at one time.
//!
//! For each read, at most one is in flight and one waits. A request that comes while one is in
//! flight may not have its answer, because that may be older than what the client has seen. It
//! waits for the next read, and shares it with all requests that come meanwhile. So a crowd costs
//! two reads, and every answer is at least as new as its request.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use tokio::sync::watch;

use crate::error::Error;

/// The identity of a read: the query and its parameters.
pub(super) type Key = (usize, SmallVec<[u8; 32]>);

/// The reads in flight, each with the next one of its key.
pub(super) struct Flights<T>(Mutex<Map<T>>);

type Map<T> = HashMap<Key, Option<Next<T>>, foldhash::fast::RandomState>;

type Next<T> = Arc<watch::Sender<Phase<T>>>;

/// The phase of the read that waits for the one in flight.
enum Phase<T> {
    Waiting,
    Go,
    Done(Result<T, Error>),
}

/// The part of one request in its read.
pub(super) enum Flight<'a, T> {
    /// The request reads, and passes the result to [`ReadTurn::done`].
    Read(ReadTurn<'a, T>),
    /// Another request has read since this one came.
    Joined(Result<T, Error>),
}

/// A read in flight. When it ends or is dropped, the next one of its key begins. Requests that
/// wait for its answer and get none take another turn.
pub(super) struct ReadTurn<'a, T> {
    flights: &'a Flights<T>,
    key: &'a Key,
    /// The channel to the other requests, if this read waited for its turn itself.
    phase: Option<Next<T>>,
}

enum Role<'a, T> {
    Read(ReadTurn<'a, T>),
    Follow(watch::Receiver<Phase<T>>),
}

// === impl Flights ===

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Flights<T> {
    /// Waits for a turn to read, or for the answer of another read that began after this call.
    pub(super) async fn enter<'a>(&'a self, key: &'a Key) -> Flight<'a, T> {
        loop {
            match self.role(key) {
                Role::Read(turn) => {
                    if let Some(phase) = &turn.phase {
                        // It cannot fail: the turn holds a sender.
                        let _ = phase.subscribe().wait_for(|phase| matches!(phase, Phase::Go)).await;
                    }
                    return Flight::Read(turn);
                }
                Role::Follow(mut phase) => {
                    // It fails if the reading request gave up. The loop takes another turn.
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
        Role::Read(ReadTurn { flights: self, key, phase })
    }
}

impl<T: Clone> ReadTurn<'_, T> {
    /// Passes the answer to the requests that wait for it.
    pub(super) fn done(self, result: &Result<T, Error>) {
        if let Some(phase) = &self.phase {
            phase.send_replace(Phase::Done(result.clone()));
        }
    }
}

impl<T> Flights<T> {
    /// Ends the read in flight. The next one begins, if there is one. Requests that come from here
    /// on wait for the one after it.
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

impl<T> Drop for ReadTurn<'_, T> {
    fn drop(&mut self) {
        if let Some(phase) = &self.phase {
            let mut map = self.flights.map();
            if let Some(next) = map.get_mut(self.key)
                && next.as_ref().is_some_and(|next| Arc::ptr_eq(next, phase))
            {
                // The turn has not come yet.
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

    /// A read that ends on a signal, and counts its start.
    async fn read(began: &AtomicU32, end: oneshot::Receiver<u32>) -> Result<u32, Error> {
        began.fetch_add(1, Ordering::Relaxed);
        Ok(end.await.unwrap())
    }

    #[tokio::test]
    async fn a_crowd_costs_two_reads_and_no_answer_is_old() {
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
    async fn the_reading_request_may_leave() {
        let (flights, key) = (Flights::default(), key());
        for has_turn in [false, true] {
            let (end, first) = oneshot::channel();
            let began = AtomicU32::new(0);
            let mut one = Box::pin(join(&flights, &key, || read(&began, first)));
            assert!(one.as_mut().now_or_never().is_none());
            let mut second = Box::pin(join(&flights, &key, std::future::pending));
            assert!(second.as_mut().now_or_never().is_none());
            let mut follower = Box::pin(join(&flights, &key, || async { Ok(3) }));
            assert!(follower.as_mut().now_or_never().is_none());
            if has_turn {
                end.send(1).unwrap();
                assert!(matches!(one.await, (Ok(1), false)));
                assert!(second.as_mut().now_or_never().is_none());
                drop(second);
            } else {
                drop(second);
                end.send(1).unwrap();
                assert!(matches!(one.await, (Ok(1), false)));
            }
            assert!(matches!(follower.await, (Ok(3), false)));
            assert!(flights.map().is_empty());
        }
    }
}
