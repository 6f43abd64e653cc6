//! The reaper: one timer for each loop instead of one for each request.
//!
//! The [`Registry`] has every connection of a loop. Many times a second the reaper sets the loop's
//! coarse clock and reads the ledgers of the connections that are due: busy ones each time, parked
//! ones once their deadline has come. Its decisions, by [`rules`], are
//! [signals](crate::ledger::Signal) to the connections.

mod rules;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use dunlin_http::Clock;
use slab::Slab;
use tokio::sync::Notify;

use crate::ledger::{Ledger, Phase, Signal, Tick, Ticks};
pub(crate) use rules::Rules;
use rules::Watch;

/// The connections of a loop.
#[derive(Debug)]
pub(crate) struct Registry {
    table: Mutex<Table>,
    count: AtomicUsize,
    changed: Notify,
    draining: AtomicBool,
    ticks: Arc<Ticks>,
    begun: Instant,
    rules: Rules,
}

#[derive(Debug, Default)]
struct Table {
    entries: Slab<Entry>,
    /// The tick of the next look at each entry. A separate array keeps a sweep over many idle ones
    /// short.
    due: Vec<Tick>,
    /// The requests of closed connections.
    requests: u64,
    panics: u64,
}

#[derive(Debug)]
struct Entry {
    ledger: Arc<Ledger>,
    watch: Watch,
    /// The listener that it comes from.
    group: u64,
}

/// The entry of a connection in a registry, until this is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    key: usize,
}

/// The time between two looks at a busy connection, and the precision of the loop's clock.
const INTERVAL: Duration = Duration::from_millis(20);
/// The same while no connection is due sooner. A parked connection that wakes up is seen within
/// this time.
const SLOW_INTERVAL: Duration = Duration::from_millis(200);
/// The delay beyond which the loop itself, and not its clients, was too slow.
const HELD_UP: Duration = Duration::from_millis(100);

// === impl Registry ===

impl Registry {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            table: Mutex::default(),
            count: AtomicUsize::new(0),
            changed: Notify::new(),
            draining: AtomicBool::new(false),
            ticks: Arc::default(),
            begun: Instant::now(),
            rules,
        }
    }

    /// Adds a new connection of a group, which is its listener.
    pub(crate) fn register(self: &Arc<Self>, group: u64) -> (Arc<Ledger>, Registered) {
        let now = self.set_clock();
        let ledger = Arc::new(Ledger::new(self.ticks.clone()));
        let mut table = self.table();
        let key = table.entries.insert(Entry { ledger: ledger.clone(), watch: Watch::default(), group });
        if table.due.len() <= key {
            table.due.resize(key + 1, 0);
        }
        table.due[key] = now;
        drop(table);
        if self.count.fetch_add(1, Ordering::AcqRel) == 0 {
            self.changed.notify_waiters();
        }
        if self.draining.load(Ordering::Acquire) {
            ledger.signal(Signal::Drain);
        }
        (ledger, Registered { registry: self.clone(), key })
    }

    /// The time of day, in seconds since 1970.
    pub(crate) fn seconds(&self) -> u64 {
        self.ticks.seconds()
    }

    /// The number of connections.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// The number of parked connections.
    pub(crate) fn parked(&self) -> usize {
        self.table().entries.iter().filter(|(_, entry)| entry.ledger.is_parked()).count()
    }

    /// The number of tunnels.
    pub(crate) fn tunnels(&self) -> usize {
        self.table().entries.iter().filter(|(_, entry)| entry.ledger.phase() == Phase::Tunnel).count()
    }

    /// The number of requests, and of those that panicked.
    pub(crate) fn requests(&self) -> (u64, u64) {
        let table = self.table();
        let gone = (table.requests, table.panics);
        table.entries.iter().fold(gone, |(requests, panics), (_, Entry { ledger, .. })| {
            (requests + ledger.requests(), panics + ledger.panics())
        })
    }

    /// Runs the clock and the deadlines. It sleeps while there is no connection, and slows down
    /// while all are parked.
    pub(crate) async fn run(&self) {
        let mut pause = INTERVAL;
        loop {
            let changed = self.changed.notified();
            if self.len() == 0 {
                changed.await;
            } else {
                drop(changed);
                let due = Instant::now() + pause;
                tokio::time::sleep(pause).await;
                if due.elapsed() > HELD_UP {
                    // The loop was late, not the clients. Bytes that came meanwhile are read before
                    // a client is judged.
                    tokio::time::sleep(INTERVAL).await;
                }
            }
            let next = Duration::from_millis(self.sweep().into());
            pause = next.clamp(INTERVAL, SLOW_INTERVAL);
        }
    }

    /// Closes every connection behind its next response, and idle ones at once. The same holds for
    /// connections that come later.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.signal_all(Signal::Drain);
        self.sweep();
    }

    /// Closes every connection of a group behind its next response, and idle ones soon.
    pub(crate) fn drain_group(&self, group: u64) {
        let mut table = self.table();
        let Table { entries, due, .. } = &mut *table;
        for (key, entry) in entries.iter().filter(|(_, entry)| entry.group == group) {
            entry.ledger.signal(Signal::Drain);
            due[key] = 0;
        }
        drop(table);
        self.sweep();
    }

    /// Waits until the connections that are open now are closed. Later ones do not count.
    pub(crate) async fn wait_for_earlier(&self) {
        let earlier: Vec<_> = self.table().entries.iter().map(|(_, entry)| Arc::downgrade(&entry.ledger)).collect();
        while earlier.iter().any(|ledger| ledger.strong_count() > 0) {
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Signals every connection.
    pub(crate) fn signal_all(&self, signal: Signal) {
        let mut table = self.table();
        for (_, entry) in &table.entries {
            entry.ledger.signal(signal);
        }
        table.due.fill(0);
    }

    /// Makes room: closes the connection that has been idle for longest since its last request. If
    /// none is idle, cuts the one whose client closed its half first, because it is likely gone.
    /// Returns `true` if there was one.
    pub(crate) fn evict(&self) -> bool {
        let table = self.table();
        let open = || table.entries.iter().map(|(_, entry)| &entry.ledger).filter(|ledger| !ledger.is_closing());
        let idle =
            open().filter(|ledger| ledger.is_idle() && ledger.requests() > 0).min_by_key(|ledger| ledger.active());
        if let Some(ledger) = idle {
            ledger.signal(Signal::Close);
            return true;
        }
        let gone = open().filter(|ledger| ledger.is_half_closed()).min_by_key(|ledger| ledger.active());
        gone.inspect(|ledger| ledger.signal(Signal::Cut)).is_some()
    }

    /// Waits until the last connection is closed.
    pub(crate) async fn empty(&self) {
        loop {
            let changed = self.changed.notified();
            if self.len() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Looks at all connections that are due. Returns the milliseconds until the next one is.
    fn sweep(&self) -> Tick {
        let now = self.set_clock();
        let draining = self.draining.load(Ordering::Acquire);
        let mut table = self.table();
        let Table { entries, due, .. } = &mut *table;
        for (key, due) in due.iter_mut().enumerate().filter(|(_, due)| **due <= now) {
            let Some(Entry { ledger, watch, .. }) = entries.get_mut(key) else {
                *due = Tick::MAX;
                continue;
            };
            let draining = draining || ledger.signalled() >= Signal::Drain;
            *due = self.rules.look(ledger, watch, now, draining).max(now + 1);
        }
        due.iter().min().map_or(Tick::MAX, |next| next.saturating_sub(now))
    }

    fn set_clock(&self) -> Tick {
        // 2^32 milliseconds are 49 days. The clock stops there instead of wrapping, because `due`
        // is compared with it.
        let now = Tick::try_from(self.begun.elapsed().as_millis()).unwrap_or(Tick::MAX);
        let seconds = Clock::system().now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.ticks.set(now, seconds);
        now
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Registered ===

impl Registered {
    /// Makes the next sweep look at the connection.
    pub(crate) fn watch(&self) {
        if let Some(due) = self.registry.table().due.get_mut(self.key) {
            *due = 0;
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut table = self.registry.table();
        let Entry { ledger, .. } = table.entries.remove(self.key);
        table.requests += ledger.requests();
        table.panics += ledger.panics();
        drop(table);
        if self.registry.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.registry.changed.notify_waiters();
        }
    }
}
