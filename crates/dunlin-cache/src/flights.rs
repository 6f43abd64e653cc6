//! Fills under way, one for each key: who comes second waits for the first one's answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slotted;
use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::watch;

use crate::entry::Entry;
use crate::generations::{Generations, Slot};
use crate::live::Live;
use crate::status::Forward;

const SHARDS: usize = 32;

/// The fills under way.
#[derive(Debug)]
pub(crate) struct Flights(Box<[Shard]>);

type Shard = Mutex<HashMap<u128, Arc<Flight>>>;

/// One fill under way.
#[derive(Debug)]
pub(crate) struct Flight {
    since: u64,
    slots: SmallVec<[Slot; 8]>,
    outcome: watch::Sender<Option<Outcome>>,
}

/// What a fill came to.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// A complete answer.
    Entry(Arc<Entry>, Manner),
    /// An answer that is coming in.
    Live(Arc<Live>, Manner),
    /// Nothing that can be shared: each is to ask for itself.
    Alone,
}

/// How an answer was come by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) forward: Option<Forward>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) stored: bool,
    pub(crate) detail: Option<&'static str>,
}

/// What a request is to a fill.
pub(crate) enum Role {
    /// It makes the fill, and tells what it came to.
    Leader(Lead),
    /// It waits for what comes.
    Waiter(watch::Receiver<Option<Outcome>>),
}

/// The one who makes the fill. When it goes, the fill is over: whoever still waits asks for itself.
#[derive(Debug)]
pub(crate) struct Lead {
    flights: Arc<Flights>,
    key: u128,
    flight: Arc<Flight>,
}

// === impl Flights ===

impl Flights {
    pub(crate) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect())
    }

    /// Joins the fill of this key, or begins one. A fill that began before an invalidation of its
    /// slots is not joined.
    pub(crate) fn join(self: &Arc<Self>, key: u128, slots: &[Slot], generations: &Generations) -> Role {
        // Before the table is looked at: what is invalidated from now on must not count as known.
        let since = generations.now();
        let mut shard = self.shard(key).lock();
        let begin = || Arc::new(Flight { since, slots: slots.into(), outcome: watch::Sender::new(None) });
        let flight = match shard.entry(key) {
            Slotted::Occupied(mut slot) => {
                if slot.get().is_current(generations) {
                    return Role::Waiter(slot.get().outcome.subscribe());
                }
                slot.insert(begin());
                Arc::clone(slot.get())
            }
            Slotted::Vacant(slot) => Arc::clone(slot.insert(begin())),
        };
        Role::Leader(Lead { flights: Arc::clone(self), key, flight })
    }

    fn shard(&self, key: u128) -> &Shard {
        &self.0[(key >> 64) as usize % SHARDS]
    }
}

// === impl Flight ===

impl Flight {
    fn is_current(&self, generations: &Generations) -> bool {
        let groups = match &*self.outcome.borrow() {
            Some(Outcome::Entry(entry, _)) => generations.is_current(self.since, &entry.slots),
            Some(Outcome::Live(live, _)) => !live.is_closed() && generations.is_current(self.since, &live.head.slots),
            Some(Outcome::Alone) => false,
            None => true,
        };
        groups && generations.is_current(self.since, &self.slots)
    }
}

// === impl Lead ===

impl Lead {
    /// The generation that the fill began in.
    pub(crate) fn since(&self) -> u64 {
        self.flight.since
    }

    /// What the fill will come to.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Outcome>> {
        self.flight.outcome.subscribe()
    }

    /// Tells all who wait what it came to.
    pub(crate) fn tell(&self, outcome: Outcome) {
        self.flight.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut shard = self.flights.shard(self.key).lock();
        if let Slotted::Occupied(slot) = shard.entry(self.key)
            && Arc::ptr_eq(slot.get(), &self.flight)
        {
            slot.remove();
        }
        drop(shard);
        self.flight.outcome.send_if_modified(|outcome| {
            let untold = outcome.is_none();
            if untold {
                *outcome = Some(Outcome::Alone);
            }
            untold
        });
    }
}
