//! [`Service`]: the plan in use, and the event loops that serve by it.
//!
//! A reload exchanges the parts of all loops. A request goes on with the parts that it began with,
//! and these end with the last of their requests.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use anyhow::Result;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::build::Connections;
use super::{App, LoopState, Plan};

/// The plan in use, and the event loops that serve by it.
pub(crate) struct Service {
    plan: Mutex<Arc<Plan>>,
    loops: Mutex<Vec<EventLoop>>,
}

/// An event loop, as a reload sees it.
struct EventLoop {
    index: usize,
    runtime: Handle,
    slot: Arc<Slot>,
    connections: Arc<Connections>,
}

/// The parts of one event loop, which a reload exchanges.
pub(super) struct Slot {
    /// The version of the parts. No two parts of the process have the same.
    version: AtomicU64,
    state: Mutex<Arc<LoopState>>,
}

/// The new parts of all event loops, before they are in use.
pub(crate) struct Built {
    plan: Arc<Plan>,
    loops: Vec<(Arc<Connections>, Arc<LoopState>)>,
}

/// The parts that a thread has used last, with their version. It does not keep them: a thread may
/// serve no request for long.
struct Seen {
    version: u64,
    state: Weak<LoopState>,
}

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

// === impl Service ===

impl Service {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan: Mutex::new(Arc::new(plan)), loops: Mutex::default() }
    }

    /// The plan in use.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.plan.lock().clone()
    }

    /// Makes the service of the loop on whose runtime it is called.
    pub(crate) fn join(&self, index: usize) -> Result<App> {
        let plan = self.plan();
        let connections = Arc::new(plan.connect(None)?);
        let slot = Arc::new(Slot::new(plan.build(index, &connections)?));
        let app = App { slot: slot.clone(), identity: None };
        let mut loops = self.loops.lock();
        loops.push(EventLoop { index, runtime: Handle::current(), slot, connections });
        loops.sort_unstable_by_key(|event_loop| event_loop.index);
        Ok(app)
    }

    /// The runtime of the first loop, with its connections to the database.
    pub(crate) fn first_loop(&self) -> Option<(Handle, Option<dunlin_pg::Pool>)> {
        self.loops.lock().first().map(|first| (first.runtime.clone(), first.connections.pool.clone()))
    }

    /// Makes the parts of every loop by another plan. Nothing changes yet.
    ///
    /// # Errors
    /// The part that cannot be made.
    pub(crate) fn build(&self, plan: Arc<Plan>) -> Result<Built> {
        let loops = self.loops.lock();
        let built = loops.iter().map(|event_loop| {
            // Pools and clients begin tasks, which belong to the loop.
            let _entered = event_loop.runtime.enter();
            let connections = Arc::new(plan.connect(Some(&event_loop.connections))?);
            let state = plan.build(event_loop.index, &connections)?;
            Ok((connections, Arc::new(state)))
        });
        let built = built.collect::<Result<Vec<_>>>()?;
        Ok(Built { plan, loops: built })
    }

    /// Serves by other parts from here on.
    pub(crate) fn exchange(&self, built: Built) {
        let mut loops = self.loops.lock();
        for (event_loop, (connections, state)) in loops.iter_mut().zip(built.loops) {
            event_loop.slot.set(state);
            event_loop.connections = connections;
        }
        let before = std::mem::replace(&mut *self.plan.lock(), built.plan.clone());
        drop(loops);
        before.scopes().end(built.plan.scopes());
        built.plan.forget_others();
    }
}

// === impl Slot ===

impl Slot {
    fn new(state: LoopState) -> Self {
        Self { version: AtomicU64::new(next_version()), state: Mutex::new(Arc::new(state)) }
    }

    fn set(&self, state: Arc<LoopState>) {
        let mut current = self.state.lock();
        let before = std::mem::replace(&mut *current, state);
        self.version.store(next_version(), Ordering::Release);
        drop(current);
        drop(before);
    }

    /// The parts in use. As long as they are those that this thread has used last, this reads one
    /// number.
    #[inline]
    pub(super) fn current(&self) -> Arc<LoopState> {
        let version = self.version.load(Ordering::Acquire);
        let seen = SEEN.try_with(|seen| match &*seen.borrow() {
            Some(seen) if seen.version == version => seen.state.upgrade(),
            _ => None,
        });
        seen.ok().flatten().unwrap_or_else(|| self.look())
    }

    /// The parts in use, which this thread has not used yet.
    #[cold]
    fn look(&self) -> Arc<LoopState> {
        let locked = self.state.lock();
        let (version, state) = (self.version.load(Ordering::Acquire), locked.clone());
        drop(locked);
        let seen = Seen { version, state: Arc::downgrade(&state) };
        // It fails at the end of the thread, which uses the parts no more.
        let _ = SEEN.try_with(|place| place.borrow_mut().replace(seen));
        state
    }
}

fn next_version() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
