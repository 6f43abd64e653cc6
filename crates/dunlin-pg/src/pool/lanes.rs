//! The shared connections of a pool: which one takes a read, and the keeper that opens, watches and
//! renews them.
//!
//! A read costs the keeper nothing: it counts, and the keeper looks at the counts while reads are
//! under way. A connection whose answers stand still while other reads queue behind the first is
//! given up: the reads that wait on it fail as if it had been lost, and each is asked once more on
//! a connection of its own, where a slow statement holds up nobody else and can be cancelled. One
//! whose answers nobody waits for any more is given up in the same way. What the server is at is
//! cancelled in both cases; that can hit nobody, for by then all that is under way there has been
//! given up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::Inner;
use super::link::Link;
use crate::connect::CANCELLATIONS;
use crate::database::Database;
use crate::query::Access;

/// How often the keeper looks while reads are under way, and while none is.
const TICK: Duration = Duration::from_millis(25);
const IDLE_TICK: Duration = Duration::from_secs(1);
/// For how many ticks answers may stand still while others queue behind them, or nobody waits for
/// them.
const PATIENCE: u32 = 8;
/// How many reads of one turn of the loop go to one connection before the next one is used: they
/// leave in one write.
const BATCH: usize = 8;
/// How long after the server's limit for a statement its answer may come.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Lanes {
    open: Mutex<Vec<Arc<Link>>>,
    wanted: AtomicUsize,
    opened: Notify,
    resting: AtomicBool,
    wake: Notify,
}

/// What the keeper remembers of a link from one tick to the next.
struct Watched {
    link: Arc<Link>,
    answered: u64,
    abandoned: u64,
    still: u32,
    /// Reads were given up since it last stood idle with all answered, so the server may be at one
    /// of them.
    doubtful: bool,
    used: Instant,
}

// === impl Lanes ===

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            open: Mutex::default(),
            wanted: AtomicUsize::new(0),
            opened: Notify::new(),
            resting: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// The number of connections that the pool is to have.
    pub(super) fn wanted(&self) -> usize {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Sets the number of connections. The keeper opens or retires some.
    pub(super) fn want(&self, count: usize) {
        if self.wanted.swap(count, Ordering::Relaxed) != count {
            self.wake.notify_one();
        }
    }

    /// The link for the next read: one that has others to write in this turn of the loop, so that
    /// they leave together; else the least busy. One whose answers stand still is the last resort.
    pub(super) fn pick(&self) -> Option<Arc<Link>> {
        if self.resting.load(Ordering::Relaxed) {
            self.resting.store(false, Ordering::Relaxed);
            self.wake.notify_one();
        }
        let links = self.links();
        let mut best: Option<(&Arc<Link>, usize)> = None;
        for link in links.iter().filter(|link| link.is_open()) {
            let rank = match (link.is_standing(), link.queued()) {
                (true, _) => usize::MAX / 2 + link.waiting(),
                (false, 1..BATCH) => return Some(link.clone()),
                (false, _) => link.waiting(),
            };
            if best.is_none_or(|(_, least)| rank < least) {
                best = Some((link, rank));
            }
        }
        best.map(|(link, _)| link.clone())
    }

    /// A link as soon as there is one.
    pub(super) async fn wait(&self) -> Arc<Link> {
        loop {
            let opened = self.opened.notified();
            tokio::pin!(opened);
            // Registered before looking, so that none is missed.
            opened.as_mut().enable();
            if let Some(link) = self.pick() {
                return link;
            }
            opened.await;
        }
    }

    fn links(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.open.lock()
    }

    fn add(&self, link: Arc<Link>) {
        self.links().push(link);
        self.opened.notify_waiters();
    }

    fn remove(&self, link: &Arc<Link>) {
        self.links().retain(|other| !Arc::ptr_eq(other, link));
    }
}

/// Keeps the lanes of a pool until the pool is gone.
pub(super) async fn keep(pool: Weak<Inner>) {
    let mut watched: Vec<Watched> = Vec::new();
    loop {
        let Some(inner) = pool.upgrade() else { return };
        if inner.database.0.shares.total() == 0 {
            return;
        }
        review(&inner, &mut watched);
        let missing = inner.lanes.wanted().saturating_sub(watched.len());
        if missing > 0 {
            watched.extend(open(&inner, missing).await.into_iter().map(Watched::new));
        }
        let pause = if watched.len() < inner.lanes.wanted() {
            inner.database.connector(Access::Read).pause().max(TICK)
        } else if watched.iter().any(Watched::is_working) {
            TICK
        } else {
            inner.lanes.resting.store(true, Ordering::Relaxed);
            IDLE_TICK
        };
        // The pool may go while this sleeps: nothing of it is held then but the bell.
        let lanes = inner.lanes.clone();
        drop(inner);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = lanes.wake.notified() => {}
        }
    }
}

/// Opens several at once. What fails is tried again after the connector's pause.
async fn open(inner: &Inner, count: usize) -> Vec<Arc<Link>> {
    let opening = (0..count).map(|_| async {
        let connector = inner.database.connector(Access::Read);
        let share = inner.database.0.links.clone().try_acquire_owned().ok()?;
        let queued = Arc::default();
        let opened = connector.open(share, Arc::clone(&queued)).await.ok()?;
        let statements = inner.database.statements();
        let link = Link::open(opened, queued, &statements, &inner.database.0.functions, inner.until());
        let link = Arc::new(tokio::time::timeout(inner.database.0.config.connect_timeout, link).await.ok()?);
        inner.lanes.add(link.clone());
        Some(link)
    });
    futures_util::future::join_all(opening).await.into_iter().flatten().collect()
}

fn review(inner: &Arc<Inner>, watched: &mut Vec<Watched>) {
    let now = Instant::now();
    let config = &inner.database.0.config;
    for watch in watched.iter_mut() {
        watch.look(now);
        if watch.is_stuck(config.statement_timeout + GRACE) {
            give_up(inner, &watch.link);
        } else if watch.link.until.is_some_and(|until| until <= now) {
            // It ends when the last that uses it is done.
            watch.link.retire();
        } else if watch.link.waiting() == 0
            && (watch.doubtful || now.duration_since(watch.used) >= config.validate_after)
        {
            watch.doubtful = true;
            watch.used = now;
            probe(watch.link.clone());
        }
    }
    if let Some(watch) = watched.iter().find(|watch| watch.link.is_open())
        && inner.database.0.functions.take_due(now)
    {
        look_up(inner.database.clone(), watch.link.clone());
    }
    // Another pool gets these. They end when the last that uses them is done.
    watched.iter().skip(inner.lanes.wanted()).for_each(|watch| watch.link.retire());
    watched.retain(|watch| {
        let keep = watch.link.is_open();
        if !keep {
            inner.lanes.remove(&watch.link);
            let lost = u64::from(watch.link.client.is_closed());
            inner.counters.lost.fetch_add(lost, Ordering::Relaxed);
        }
        keep
    });
}

fn give_up(inner: &Arc<Inner>, link: &Arc<Link>) {
    tracing::debug!(waiting = link.waiting(), "a shared connection stands still and is given up");
    inner.counters.cancelled.fetch_add(1, Ordering::Relaxed);
    let connector = inner.database.connector(Access::Read).clone();
    let token = link.client.cancel_token();
    link.cut();
    tokio::spawn(async move {
        // Nobody is left to say when it is over.
        for pause in CANCELLATIONS {
            connector.cancel(&token).await;
            tokio::time::sleep(pause).await;
        }
    });
}

/// Asks for an empty answer: it comes when all before it are done, and shows that the connection
/// lives.
fn probe(link: Arc<Link>) {
    tokio::spawn(async move {
        let waiting = link.wait();
        if link.client.simple_query("").await.is_ok() {
            waiting.answered();
        }
    });
}

/// Looks the functions up again.
fn look_up(database: Database, link: Arc<Link>) {
    tokio::spawn(async move {
        if let Err(error) = link.look_up(&database.0.functions).await {
            tracing::debug!(%error, "the functions of the database were not looked up");
        }
    });
}

// === impl Watched ===

impl Watched {
    fn new(link: Arc<Link>) -> Self {
        // From nothing: reads may have come and gone while the others of its kind still opened.
        Self { link, answered: 0, abandoned: 0, still: 0, doubtful: false, used: Instant::now() }
    }

    fn look(&mut self, now: Instant) {
        let (answered, abandoned) = (self.link.answered(), self.link.abandoned());
        let moved = answered != self.answered;
        if moved || self.link.waiting() > 0 {
            self.used = now;
        }
        if moved {
            // Answers come in order, so one that came tells that those before it are done.
            self.doubtful = false;
        }
        if abandoned != self.abandoned {
            self.doubtful = true;
        }
        let waits = self.link.waiting() > 0 || self.doubtful;
        self.still = if waits && !moved { self.still + 1 } else { 0 };
        self.link.stand(self.still > 0);
        (self.answered, self.abandoned) = (answered, abandoned);
    }

    fn is_working(&self) -> bool {
        self.link.waiting() > 0 || self.doubtful || self.used.elapsed() < TICK * 4
    }

    /// Others wait behind a slow one, or behind one that nobody waits for, or even the server's own
    /// limit is past.
    fn is_stuck(&self, limit: Duration) -> bool {
        let waiting = self.link.waiting();
        let others = waiting > 1 || (waiting == 1 && self.doubtful);
        (self.still >= PATIENCE && others) || (waiting > 0 && TICK * self.still >= limit)
    }
}
