//! [`Pool`]: the connections of one event loop.

mod flights;
mod keep;
mod lanes;
mod link;
mod own;
mod pipeline;
mod read;
mod rows;
mod session;
mod shares;
mod stream;
mod transaction;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) use self::pipeline::set;
pub use self::read::Answer;
pub(crate) use self::shares::Shares;
pub use self::transaction::{Transaction, TransactionOptions};
use deadpool_postgres::{PoolError, TimeoutType};

use self::flights::Flights;
use self::lanes::Lanes;
use self::session::Session;
use crate::config::Pooler;
use crate::database::{Database, Declared};
use crate::error::Error;
use crate::query::Access;
use crate::stats::Counters;

/// The connections of one event loop. Cheap to clone; make one on each loop, by [`Database::pool`].
///
/// A few of its connections are shared by reads, whose statements are sent one behind the other
/// without waiting. The others are checked out one by one, from deadpool, for transactions, writes,
/// and what is large or slow.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) database: Database,
    lanes: Arc<Lanes>,
    reads: deadpool_postgres::Pool,
    writes: deadpool_postgres::Pool,
    flights: Flights<read::Whole>,
    counters: Arc<Counters>,
}

// === impl Pool ===

impl Pool {
    pub(crate) fn start(database: Database) -> Self {
        let lanes = Arc::new(Lanes::new());
        database.0.shares.add(&lanes);
        let inner = Arc::new(Inner {
            lanes,
            reads: keep::deadpool(&database, Access::Read),
            writes: keep::deadpool(&database, Access::Write),
            flights: Flights::default(),
            counters: database.counters(),
            database,
        });
        tokio::spawn(lanes::keep(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// The database it belongs to.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// Whether the database answers now.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ready(&self) -> Result<(), Error> {
        let connector = self.0.database.connector(Access::Read);
        if self.0.lanes.wanted() > 0 {
            if self.0.lanes.pick().is_some() {
                return Ok(());
            }
            if let Some(reason) = connector.trouble() {
                return Err(Error::Unreachable(reason));
            }
        }
        let session = self.checkout(Access::Read).await?;
        drop(session);
        Ok(())
    }

    /// Closes the connections that are checked out one by one and lie idle.
    fn evict_idle(&self, access: Access) {
        let pool = if access == Access::Read { &self.0.reads } else { &self.0.writes };
        pool.retain(|_, _| false);
    }

    /// Returns `true` if the query may leave something in its session.
    fn touches_session(&self, query: &Declared) -> bool {
        let functions = &self.0.database.0.functions;
        query.effects.is_dirty() || functions.is_any_volatile(&query.effects.calls) == Some(true)
    }

    /// A connection of its own, for as long as the caller holds it.
    async fn checkout(&self, access: Access) -> Result<Session, Error> {
        let Inner { database, reads, writes, .. } = &*self.0;
        let wait = database.0.config.acquire_timeout;
        let failed = |error: Error| {
            self.0.counters.failed(&error);
            error
        };
        let permit = database.0.checkouts.clone().acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(wait, permit).await else {
            self.0.counters.exhausted.fetch_add(1, Ordering::Relaxed);
            return Err(Error::Exhausted);
        };
        let pool = if access == Access::Read { reads } else { writes };
        let connector = database.connector(access);
        if pool.status().available == 0
            && let Some(error) = connector.refused()
        {
            return Err(failed(error));
        }
        match pool.get().await {
            Ok(object) => Ok(Session::new(object, permit, access, self.clone())),
            Err(PoolError::Backend(error)) => Err(failed(Error::Unreachable(crate::error::one_line(&error).into()))),
            Err(PoolError::Timeout(TimeoutType::Create)) => Err(failed(connector.timed_out())),
            Err(error) => Err(failed(Error::Unreachable(error.to_string().into()))),
        }
    }

    fn is_pooled(&self) -> bool {
        self.0.database.0.config.pooler == Pooler::Transaction
    }

    /// Counts a statement or a transaction that is sent.
    fn counted(&self) {
        self.0.counters.queries.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("database", &self.0.database).finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Drop for Inner {
    fn drop(&mut self) {
        self.database.0.shares.remove(&self.lanes);
    }
}

impl Inner {
    /// When a connection that opens now has lived long enough: give or take a tenth, so that not
    /// all end at once.
    fn until(&self) -> Option<Instant> {
        let lifetime = self.database.0.config.max_lifetime;
        (lifetime > Duration::ZERO).then(|| Instant::now() + lifetime.mul_f64(0.9 + fastrand::f64() / 5.0))
    }
}
