//! [`Pool`]: the connections of one event loop.

mod answer;
mod binding;
mod call;
mod checkout;
mod conditional;
mod dedicated;
mod execute;
mod flights;
mod pipeline;
mod retries;
mod rows;
mod run;
mod session;
mod shared;
mod stream;
mod transaction;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use deadpool_postgres::{PoolError, TimeoutType};

pub use self::answer::Answer;
pub(crate) use self::call::key;
pub use self::rows::FromRow;
pub use self::transaction::{Transaction, TransactionOptions};

pub(crate) use self::conditional::Condition;

use self::answer::Collected;
use self::flights::Flights;
use self::session::Session;
use self::shared::SharedConnections;
use crate::config::{Config, Pooler};
use crate::database::Database;
use crate::declared::Declared;
use crate::error::Error;
use crate::query::Access;
use crate::stats::Counters;

/// The connections of one event loop. It is cheap to clone. [`Database::pool`] makes one; make one
/// on each loop.
///
/// Reads share a few of its connections: their statements are sent one behind the other, without
/// waiting. The other connections are dedicated: deadpool hands them out one by one, for
/// transactions, for writes, and for reads that are large or slow.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) database: Database,
    shared: Arc<SharedConnections>,
    reads: deadpool_postgres::Pool,
    writes: deadpool_postgres::Pool,
    flights: Flights<Collected>,
    counters: Arc<Counters>,
}

// === impl Database ===

impl Database {
    /// Makes a pool for the current event loop. It begins to connect at once, in the background,
    /// and keeps trying while the database is away.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool::start(self.clone())
    }
}

// === impl Pool ===

impl Pool {
    fn start(database: Database) -> Self {
        let shared = Arc::new(SharedConnections::new(database.0.shares.add()));
        let inner = Arc::new(Inner {
            shared,
            reads: checkout::deadpool(&database, Access::Read),
            writes: checkout::deadpool(&database, Access::Write),
            flights: Flights::default(),
            counters: database.counters(),
            database,
        });
        tokio::spawn(shared::keep(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// The database of this pool.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// Checks that the database answers now.
    ///
    /// # Errors
    /// The reason why it does not answer.
    pub async fn ready(&self) -> Result<(), Error> {
        let connector = self.0.database.connector(Access::Read);
        if self.0.shared.limit() > 0 {
            if self.0.shared.pick().is_some() {
                return Ok(());
            }
            if let Some(reason) = connector.last_failure() {
                return Err(Error::Unreachable(reason));
            }
        }
        let session = self.checkout(Access::Read).await?;
        drop(session);
        Ok(())
    }

    /// Returns `true` if the query may leave something in its session.
    fn touches_session(&self, query: &Declared) -> bool {
        let functions = &self.0.database.0.functions;
        query.effects.is_dirty() || functions.is_any_volatile(&query.effects.calls) == Some(true)
    }

    /// Closes the idle dedicated connections.
    fn evict_idle(&self, access: Access) {
        let pool = if access == Access::Read { &self.0.reads } else { &self.0.writes };
        pool.retain(|_, _| false);
    }

    /// A dedicated connection, until the session is dropped.
    async fn checkout(&self, access: Access) -> Result<Session, Error> {
        let Inner { database, reads, writes, .. } = &*self.0;
        let permit = database.0.checkouts.clone().acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(self.config().acquire_timeout, permit).await else {
            self.0.counters.exhausted.fetch_add(1, Ordering::Relaxed);
            return Err(Error::Exhausted);
        };
        let pool = if access == Access::Read { reads } else { writes };
        let connector = database.connector(access);
        if pool.status().available == 0
            && let Some(error) = connector.backing_off()
        {
            return Err(self.failed(error));
        }
        let error = match pool.get().await {
            Ok(object) => return Ok(Session::new(object, permit, access, self.clone())),
            Err(PoolError::Backend(error)) => Error::Unreachable(crate::error::one_line(&error).into()),
            Err(PoolError::Timeout(TimeoutType::Create)) => connector.timed_out(),
            Err(error) => Error::Unreachable(error.to_string().into()),
        };
        Err(self.failed(error))
    }

    /// A dedicated connection for this query. It is cleaned afterwards if the query needs that.
    async fn checkout_for(&self, query: &Declared) -> Result<Session, Error> {
        let mut session = self.checkout(query.access).await?;
        session.note(&query.effects, false).await?;
        self.count_query();
        Ok(session)
    }

    fn config(&self) -> &Config {
        &self.0.database.0.config
    }

    /// Returns `true` if a pooler stands between, so that no prepared statement may outlive its
    /// transaction.
    fn is_pooled(&self) -> bool {
        self.config().pooler == Pooler::Transaction
    }

    /// Counts a statement or a transaction that is sent.
    fn count_query(&self) {
        self.0.counters.queries.fetch_add(1, Ordering::Relaxed);
    }

    fn count_retry(&self) {
        self.0.counters.retried.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an error.
    fn failed(&self, error: Error) -> Error {
        self.0.counters.failed(&error);
        error
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
        let share = self.shared.share();
        self.database.0.shares.remove(share);
        // The keeper ends, and closes the connections for the other pools.
        share.wake.notify_one();
    }
}

impl Inner {
    /// The time at which a connection that opens now is to be closed. It varies by a tenth, so that
    /// connections do not all expire together.
    fn expiry(&self) -> Option<Instant> {
        let lifetime = self.database.0.config.max_lifetime;
        (lifetime > Duration::ZERO).then(|| Instant::now() + lifetime.mul_f64(0.9 + fastrand::f64() / 5.0))
    }
}
