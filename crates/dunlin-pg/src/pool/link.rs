//! [`Link`]: a connection that many reads share.

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

/// A connection that many reads share: their statements are sent one behind the other, and answered
/// in that order.
pub(crate) struct Link {
    pub(crate) client: Client,
    driver: JoinHandle<()>,
    plans: Mutex<Vec<Option<Arc<Plan>>>>,
    /// Reads that wait for their answer.
    waiting: AtomicUsize,
    /// Those of them that are still to be written: the driver writes all of them at once when its
    /// turn comes.
    queued: Arc<AtomicUsize>,
    /// Answers so far: it stands still when the connection does.
    answered: AtomicU64,
    /// Reads that nobody waits for any more, and which the server may still be at.
    abandoned: AtomicU64,
    /// No answer came since the keeper last looked, and some are waited for.
    standing: AtomicBool,
    /// No new reads: it stands, or its time has come.
    retired: AtomicBool,
    /// When its life is over.
    pub(crate) until: Option<Instant>,
}

/// A statement as this connection has it.
pub(crate) struct Plan {
    pub(crate) statement: Statement,
    pub(crate) columns: Box<[Column]>,
    prepared: Instant,
}

/// The age from which a plan is looked up again when a parameter does not fit it.
const RECHECK: Duration = Duration::from_secs(1);

impl Plan {
    /// Returns `true` if a migration may have changed the types since the statement was prepared.
    /// Clients that send nonsense cause one look-up a second at most.
    pub(crate) fn may_be_old(&self) -> bool {
        self.prepared.elapsed() >= RECHECK
    }
}

/// A read that waits for its answer on a link.
pub(crate) struct Waiting<'a> {
    link: &'a Link,
    answered: bool,
}

// === impl Link ===

impl Link {
    /// Prepares what is declared. What does not prepare is tried again when it is asked for, and
    /// answered with the reason.
    pub(crate) async fn open(
        (client, driver): Opened,
        queued: Arc<AtomicUsize>,
        statements: &[Arc<str>],
        functions: &Functions,
        until: Option<Instant>,
    ) -> Self {
        // All are sent before the first answer is waited for: one round trip.
        let plans = statements.iter().map(|sql| async { plan(&client, sql).await.ok().map(Arc::new) });
        // A look-up that fails is done again before the first read that needs it.
        let (plans, _) = tokio::join!(futures_util::future::join_all(plans), functions.look_up(&client));
        Self {
            client,
            driver,
            plans: Mutex::new(plans),
            waiting: AtomicUsize::new(0),
            queued,
            answered: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            standing: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            until,
        }
    }

    pub(crate) fn plan(&self, slot: usize) -> Option<Arc<Plan>> {
        self.plans().get(slot).cloned().flatten()
    }

    /// Prepares what was not there when it opened, or was forgotten since.
    pub(crate) async fn prepare(&self, slot: usize, sql: &str) -> Result<Arc<Plan>, Error> {
        // The keeper watches it as it does a read.
        let waiting = self.wait();
        let plan = plan(&self.client, sql).await;
        waiting.answered();
        let plan = Arc::new(plan?);
        let mut plans = self.plans();
        if plans.len() <= slot {
            plans.resize_with(slot + 1, || None);
        }
        plans[slot] = Some(plan.clone());
        Ok(plan)
    }

    /// Looks up which functions are volatile.
    pub(crate) async fn look_up(&self, functions: &Functions) -> Result<(), Error> {
        let waiting = self.wait();
        let done = functions.look_up(&self.client).await;
        waiting.answered();
        Ok(done?)
    }

    /// Forgets a plan that the server no longer has, or whose result has changed.
    pub(crate) fn forget(&self, slot: usize, stale: &Arc<Plan>) {
        if let Some(place) = self.plans().get_mut(slot)
            && place.as_ref().is_some_and(|plan| Arc::ptr_eq(plan, stale))
        {
            *place = None;
            // A type of the same name may be another one now.
            self.client.clear_type_cache();
        }
    }

    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.queued.fetch_add(1, Ordering::Relaxed);
        Waiting { link: self, answered: false }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.client.is_closed()
    }

    pub(crate) fn is_standing(&self) -> bool {
        self.standing.load(Ordering::Relaxed)
    }

    pub(crate) fn stand(&self, still: bool) {
        self.standing.store(still, Ordering::Relaxed);
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Ends it at once: what waits on it fails as if the connection were lost.
    pub(crate) fn cut(&self) {
        self.retire();
        self.driver.abort();
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn abandoned(&self) -> u64 {
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

// === impl Waiting ===

impl Waiting<'_> {
    /// The answer has come to its end.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.link.waiting.fetch_sub(1, Ordering::Relaxed);
        let count = if self.answered { &self.link.answered } else { &self.link.abandoned };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
