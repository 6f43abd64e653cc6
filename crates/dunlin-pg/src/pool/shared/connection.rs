//! [`SharedConnection`]: a connection that many reads share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Statement};

use crate::connect::Opened;
use crate::error::Error;
use crate::functions::Functions;
use crate::json::Column;

/// A connection that many reads share. Their statements are sent one behind the other, and the
/// answers come in that order.
pub(in crate::pool) struct SharedConnection {
    pub(in crate::pool) client: Client,
    driver: JoinHandle<()>,
    plans: Mutex<Vec<Option<Arc<Plan>>>>,
    /// The number of reads that wait for their answer.
    waiting: AtomicUsize,
    /// The number of those that are not written yet. The driver writes all of them at once.
    queued: Arc<AtomicUsize>,
    /// The number of answers so far. While it does not grow, the connection is stalled.
    answered: AtomicU64,
    /// The number of reads whose client is gone. The server may still run one of them.
    abandoned: AtomicU64,
    /// `true` if reads wait and no answer came since the keeper's last look.
    stalled: AtomicBool,
    /// `true` if it gets no new reads.
    retired: AtomicBool,
    /// The end of its lifetime.
    pub(super) expiry: Option<Instant>,
}

/// A statement that this connection has prepared.
pub(in crate::pool) struct Plan {
    pub(in crate::pool) statement: Statement,
    pub(in crate::pool) columns: Box<[Column]>,
    prepared: Instant,
}

/// The age from which a plan is prepared again when a parameter does not fit it.
const RECHECK: Duration = Duration::from_secs(1);

impl Plan {
    /// Returns `true` if a migration may have changed the types since the statement was prepared.
    /// Clients that send invalid values cause at most one look-up a second.
    pub(in crate::pool) fn may_be_old(&self) -> bool {
        self.prepared.elapsed() >= RECHECK
    }
}

/// A read that waits for its answer. If it is dropped before, it counts as abandoned.
pub(in crate::pool) struct Pending<'a> {
    connection: &'a SharedConnection,
    answered: bool,
}

// === impl SharedConnection ===

impl SharedConnection {
    /// Prepares the declared statements. If one fails, it is prepared again for its first request,
    /// which gets the error.
    pub(in crate::pool) async fn open(
        (client, driver): Opened,
        queued: Arc<AtomicUsize>,
        statements: &[(usize, Arc<str>)],
        functions: &Functions,
        expiry: Option<Instant>,
    ) -> Self {
        // All are sent before the first answer is awaited, so that it takes one round trip.
        let plans = statements.iter().map(|(_, sql)| async { plan(&client, sql).await.ok().map(Arc::new) });
        // A look-up that fails is repeated before the first read that needs it.
        let (prepared, _) = tokio::join!(futures_util::future::join_all(plans), functions.look_up(&client));
        let mut plans = Vec::new();
        plans.resize_with(statements.last().map_or(0, |(slot, _)| slot + 1), || None);
        statements.iter().zip(prepared).for_each(|((slot, _), plan)| plans[*slot] = plan);
        Self {
            client,
            driver,
            plans: Mutex::new(plans),
            waiting: AtomicUsize::new(0),
            queued,
            answered: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            expiry,
        }
    }

    pub(in crate::pool) fn plan(&self, slot: usize) -> Option<Arc<Plan>> {
        self.plans().get(slot).cloned().flatten()
    }

    /// Prepares a statement that is new, or whose plan was forgotten.
    pub(in crate::pool) async fn prepare(&self, slot: usize, sql: &str) -> Result<Arc<Plan>, Error> {
        // The keeper watches it like a read.
        let pending = self.begin();
        let plan = plan(&self.client, sql).await;
        pending.answered();
        let plan = Arc::new(plan?);
        let mut plans = self.plans();
        if plans.len() <= slot {
            plans.resize_with(slot + 1, || None);
        }
        plans[slot] = Some(plan.clone());
        Ok(plan)
    }

    /// Looks up which functions are volatile.
    pub(in crate::pool) async fn look_up(&self, functions: &Functions) -> Result<(), Error> {
        let pending = self.begin();
        let done = functions.look_up(&self.client).await;
        pending.answered();
        Ok(done?)
    }

    /// Forgets a plan that the server has lost, or whose result has changed.
    pub(in crate::pool) fn forget(&self, slot: usize, stale: &Arc<Plan>) {
        if let Some(place) = self.plans().get_mut(slot)
            && place.as_ref().is_some_and(|plan| Arc::ptr_eq(plan, stale))
        {
            *place = None;
            // A type of the same name may be a new one.
            self.client.clear_type_cache();
        }
    }

    /// Counts a read that is about to be sent.
    pub(in crate::pool) fn begin(&self) -> Pending<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.queued.fetch_add(1, Ordering::Relaxed);
        Pending { connection: self, answered: false }
    }

    pub(in crate::pool) fn is_open(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.client.is_closed()
    }

    pub(in crate::pool) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    pub(in crate::pool) fn set_stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }

    pub(in crate::pool) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Ends the connection at once. The reads that wait fail with a lost connection.
    pub(in crate::pool) fn cut(&self) {
        self.retire();
        self.driver.abort();
    }

    pub(in crate::pool) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(in crate::pool) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub(in crate::pool) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(in crate::pool) fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    fn plans(&self) -> MutexGuard<'_, Vec<Option<Arc<Plan>>>> {
        self.plans.lock()
    }
}

async fn plan(client: &Client, sql: &str) -> Result<Plan, Error> {
    let statement = client.prepare(sql).await?;
    let columns = Column::all(statement.columns())?;
    Ok(Plan { statement, columns, prepared: Instant::now() })
}

// === impl Pending ===

impl Pending<'_> {
    /// Marks the end of the answer.
    pub(in crate::pool) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.connection.waiting.fetch_sub(1, Ordering::Relaxed);
        let count = if self.answered { &self.connection.answered } else { &self.connection.abandoned };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
