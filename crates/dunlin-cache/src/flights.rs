//! [`Flights`]: the fills in flight, one for each key. Later requests wait for the first one's
//! outcome.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::watch;

use crate::entry::Entry;
use crate::generations::{Generations, Slot};
use crate::status::ForwardReason;
use crate::streaming_entry::StreamingEntry;

const SHARDS: usize = 32;

/// The fills in flight.
#[derive(Debug)]
pub(crate) struct Flights(Box<[Shard]>);

type Shard = Mutex<HashMap<u128, Arc<Flight>>>;

/// One fill in flight.
#[derive(Debug)]
pub(crate) struct Flight {
    since: u64,
    slots: SmallVec<[Slot; 8]>,
    outcome: watch::Sender<Option<Outcome>>,
}

/// The outcome of a fill.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// A complete response.
    Entry(Arc<Entry>, Provenance),
    /// A response whose body is still arriving.
    Streaming(Arc<StreamingEntry>, Provenance),
    /// Nothing that can be shared. Each request calls the origin itself.
    Unshared,
}

/// The origin of an outcome, for `Cache-Status`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provenance {
    /// `None` if the response came from the second level.
    pub(crate) forward: Option<ForwardReason>,
    pub(crate) forward_status: Option<StatusCode>,
    pub(crate) stored: bool,
    pub(crate) detail: Option<&'static str>,
}

/// The role of a request in a fill.
pub(crate) enum Role {
    /// It makes the fill and publishes the outcome.
    Leader(Leader),
    /// It waits for the outcome.
    Follower(watch::Receiver<Option<Outcome>>),
}

/// The leader of a fill. When it is dropped without an outcome, the followers call the origin
/// themselves.
#[derive(Debug)]
pub(crate) struct Leader {
    flights: Arc<Flights>,
    key: u128,
    flight: Arc<Flight>,
}

// === impl Provenance ===

impl Provenance {
    /// The provenance of a stored response that was not forwarded.
    pub(crate) const HIT: Self = Self { forward: None, forward_status: None, stored: false, detail: None };
}

// === impl Flights ===

impl Flights {
    pub(crate) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect())
    }

    /// Joins the fill of this key, or begins one. A fill that an invalidation has overtaken is not
    /// joined; `is_overtaken` says so of purges by prefix, given the generation of the fill.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: u128,
        slots: &[Slot],
        generations: &Generations,
        is_overtaken: impl Fn(u64) -> bool,
    ) -> Role {
        // Read before the table, because this fill must not count as newer than an invalidation
        // from now on.
        let since = generations.now();
        let mut shard = self.shard(key).lock();
        let begin = || Arc::new(Flight { since, slots: slots.into(), outcome: watch::Sender::new(None) });
        let flight = match shard.entry(key) {
            Place::Occupied(mut place) => {
                if place.get().is_current(generations) && !is_overtaken(place.get().since) {
                    return Role::Follower(place.get().outcome.subscribe());
                }
                place.insert(begin());
                Arc::clone(place.get())
            }
            Place::Vacant(place) => Arc::clone(place.insert(begin())),
        };
        Role::Leader(Leader { flights: Arc::clone(self), key, flight })
    }

    fn shard(&self, key: u128) -> &Shard {
        &self.0[(key >> 64) as usize % SHARDS]
    }
}

// === impl Flight ===

impl Flight {
    fn is_current(&self, generations: &Generations) -> bool {
        let outcome_is_current = match &*self.outcome.borrow() {
            Some(Outcome::Entry(entry, _)) => generations.is_current(self.since, &entry.slots),
            Some(Outcome::Streaming(entry, _)) => {
                !entry.is_closed() && generations.is_current(self.since, &entry.head.slots)
            }
            Some(Outcome::Unshared) => false,
            None => true,
        };
        outcome_is_current && generations.is_current(self.since, &self.slots)
    }
}

// === impl Leader ===

impl Leader {
    /// The generation in which the fill began.
    pub(crate) fn since(&self) -> u64 {
        self.flight.since
    }

    /// A receiver of the outcome.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Outcome>> {
        self.flight.outcome.subscribe()
    }

    /// Publishes the outcome to all requests that wait.
    pub(crate) fn publish(&self, outcome: Outcome) {
        self.flight.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let mut shard = self.flights.shard(self.key).lock();
        if let Place::Occupied(place) = shard.entry(self.key)
            && Arc::ptr_eq(place.get(), &self.flight)
        {
            place.remove();
        }
        drop(shard);
        self.flight.outcome.send_if_modified(|outcome| {
            let unpublished = outcome.is_none();
            if unpublished {
                *outcome = Some(Outcome::Unshared);
            }
            unpublished
        });
    }
}
