//! The keeper of a pool's shared connections: it opens, watches and renews them.
//!
//! A read costs the keeper nothing. The connection counts, and the keeper looks at the counts while
//! reads are in flight. It abandons a connection whose answers stall while other reads wait behind
//! the first one. Those reads fail with a lost connection, and each is sent once more on a
//! dedicated connection, where a slow statement delays no other and can be cancelled. A connection
//! is abandoned as well if it is stalled and all its clients are gone. In both cases the running
//! statement is cancelled. That cannot hit another request, because the connection is already
//! closed for all of them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::SharedConnection;
use crate::connect::CANCELLATIONS;
use crate::database::Database;
use crate::pool::Inner;
use crate::query::Access;

/// The interval between two looks while reads are in flight.
const TICK: Duration = Duration::from_millis(25);
/// The interval between two looks while no read is in flight.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// The number of ticks without an answer after which a connection is abandoned.
const PATIENCE: u32 = 8;
/// The time for an answer after the server's limit for a statement.
const GRACE: Duration = Duration::from_secs(1);

/// A connection, with its counts at the keeper's last look.
struct Watched {
    connection: Arc<SharedConnection>,
    answered: u64,
    abandoned: u64,
    /// The number of ticks without an answer.
    still: u32,
    /// `true` if the server may run a read whose client is gone.
    may_be_busy: bool,
    /// The time of the last read.
    used: Instant,
}

/// Keeps the shared connections of a pool until the pool is gone.
pub(in crate::pool) async fn keep(pool: Weak<Inner>) {
    let mut watched: Vec<Watched> = Vec::new();
    loop {
        let Some(inner) = pool.upgrade() else { return };
        if inner.database.0.shares.total() == 0 {
            return;
        }
        review(&inner, &mut watched);
        let missing = inner.shared.limit().saturating_sub(watched.len());
        if missing > 0 {
            watched.extend(open(&inner, missing).await.into_iter().map(Watched::new));
        }
        let pause = if watched.len() < inner.shared.limit() {
            inner.database.connector(Access::Read).pause().max(TICK)
        } else if watched.iter().any(Watched::is_working) {
            TICK
        } else {
            inner.shared.resting.store(true, Ordering::Relaxed);
            IDLE_TICK
        };
        // The pool may end meanwhile, so only the share is held.
        let share = inner.shared.share.clone();
        drop(inner);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = share.wake.notified() => {}
        }
    }
}

/// Opens several connections at once. Those that fail are tried again after the connector's pause.
async fn open(inner: &Inner, count: usize) -> Vec<Arc<SharedConnection>> {
    let opening = (0..count).map(|_| async {
        let connector = inner.database.connector(Access::Read);
        let permit = inner.database.0.shared.clone().try_acquire_owned().ok()?;
        let queued = Arc::default();
        let opened = connector.open(permit, Arc::clone(&queued)).await.ok()?;
        let statements = inner.database.statements();
        let functions = &inner.database.0.functions;
        let connection = SharedConnection::open(opened, queued, &statements, functions, inner.expiry());
        let connection =
            Arc::new(tokio::time::timeout(inner.database.0.config.connect_timeout, connection).await.ok()?);
        inner.shared.add(connection.clone());
        Some(connection)
    });
    futures_util::future::join_all(opening).await.into_iter().flatten().collect()
}

fn review(inner: &Arc<Inner>, watched: &mut Vec<Watched>) {
    let now = Instant::now();
    let config = &inner.database.0.config;
    for watch in watched.iter_mut() {
        watch.look(now);
        if watch.is_stuck(config.statement_timeout + GRACE) {
            abandon(inner, &watch.connection);
        } else if watch.connection.expiry.is_some_and(|expiry| expiry <= now) {
            // It closes when the last read on it has ended.
            watch.connection.retire();
        } else if watch.connection.waiting() == 0
            && (watch.may_be_busy || now.duration_since(watch.used) >= config.validate_after)
        {
            watch.may_be_busy = true;
            watch.used = now;
            probe(watch.connection.clone());
        }
    }
    if let Some(watch) = watched.iter().find(|watch| watch.connection.is_open())
        && inner.database.0.functions.take_due(now)
    {
        look_up(inner.database.clone(), watch.connection.clone());
    }
    // Another pool gets the excess ones. They close when the last read on them has ended.
    watched.iter().skip(inner.shared.limit()).for_each(|watch| watch.connection.retire());
    watched.retain(|watch| {
        let keep = watch.connection.is_open();
        if !keep {
            inner.shared.remove(&watch.connection);
            let lost = u64::from(watch.connection.client.is_closed());
            inner.counters.lost.fetch_add(lost, Ordering::Relaxed);
        }
        keep
    });
}

fn abandon(inner: &Arc<Inner>, connection: &Arc<SharedConnection>) {
    tracing::debug!(waiting = connection.waiting(), "a shared connection is stalled; closing it");
    inner.counters.cancelled.fetch_add(1, Ordering::Relaxed);
    let connector = inner.database.connector(Access::Read).clone();
    let token = connection.client.cancel_token();
    connection.cut();
    tokio::spawn(async move {
        // The end of the statement cannot be seen any more, so all cancellations are sent.
        for pause in CANCELLATIONS {
            connector.cancel(&token).await;
            tokio::time::sleep(pause).await;
        }
    });
}

/// Asks for an empty answer. It comes when all reads before it have ended, and shows that the
/// connection is alive.
fn probe(connection: Arc<SharedConnection>) {
    tokio::spawn(async move {
        let pending = connection.begin();
        if connection.client.simple_query("").await.is_ok() {
            pending.answered();
        }
    });
}

/// Looks the functions up again.
fn look_up(database: Database, connection: Arc<SharedConnection>) {
    tokio::spawn(async move {
        if let Err(error) = connection.look_up(&database.0.functions).await {
            tracing::debug!(%error, "cannot look up the functions of the database; trying again in a minute");
        }
    });
}

// === impl Watched ===

impl Watched {
    fn new(connection: Arc<SharedConnection>) -> Self {
        // The counts begin at zero: reads may have ended while other connections were still opened.
        Self { connection, answered: 0, abandoned: 0, still: 0, may_be_busy: false, used: Instant::now() }
    }

    fn look(&mut self, now: Instant) {
        let (answered, abandoned) = (self.connection.answered(), self.connection.abandoned());
        let moved = answered != self.answered;
        if moved || self.connection.waiting() > 0 {
            self.used = now;
        }
        if moved {
            // Answers come in order, so the reads before this one have ended.
            self.may_be_busy = false;
        }
        if abandoned != self.abandoned {
            self.may_be_busy = true;
        }
        let waits = self.connection.waiting() > 0 || self.may_be_busy;
        self.still = if waits && !moved { self.still + 1 } else { 0 };
        self.connection.set_stalled(self.still > 0);
        (self.answered, self.abandoned) = (answered, abandoned);
    }

    fn is_working(&self) -> bool {
        self.connection.waiting() > 0 || self.may_be_busy || self.used.elapsed() < TICK * 4
    }

    /// Returns `true` if reads wait behind a slow one or an abandoned one, or if the server's own
    /// limit has passed.
    fn is_stuck(&self, limit: Duration) -> bool {
        let waiting = self.connection.waiting();
        let others = waiting > 1 || (waiting == 1 && self.may_be_busy);
        (self.still >= PATIENCE && others) || (waiting > 0 && TICK * self.still >= limit)
    }
}
