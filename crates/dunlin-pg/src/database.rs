//! [`Database`]: the budget of connections of a process, and its declared queries.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use crate::config::{Config, Pooler};
use crate::config_error::ConfigError;
use crate::connect::Connector;
use crate::declared::Declared;
use crate::error::Error;
use crate::functions::Functions;
use crate::open_connections::OpenConnections;
use crate::query::{Access, Query, QueryError, Settings};
use crate::shares::Shares;
use crate::sql::skips_conflicts;
use crate::stats::{Counters, ErrorCounts, Stats};
use crate::target::ServerKind;

/// A database, and the budget of connections that this process has to it. It is cheap to clone.
/// Nothing connects until a [`Pool`](crate::Pool) is made.
#[derive(Clone)]
pub struct Database(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) reads: Arc<Connector>,
    pub(crate) writes: Arc<Connector>,
    /// The connector for notifications, unless a pooler cannot carry them.
    pub(crate) notices: Option<Arc<Connector>>,
    /// The division of the shared connections among the pools.
    pub(crate) shares: Shares,
    /// A permit for each shared connection.
    pub(crate) shared: Arc<Semaphore>,
    /// A permit for each dedicated connection that is in use.
    pub(crate) checkouts: Arc<Semaphore>,
    /// The dedicated connections that are open.
    pub(crate) open: Arc<OpenConnections>,
    /// The statements that each shared connection prepares when it opens, by slot.
    pub(crate) statements: RwLock<Statements>,
    /// The functions that statements call.
    pub(crate) functions: Functions,
    /// The counters of the pools. Those of a pool that is gone remain.
    counters: Mutex<Vec<Arc<Counters>>>,
}

/// The statements of declared queries, each with a slot of its own.
#[derive(Default)]
pub(crate) struct Statements {
    /// The statements by slot; `None` for one that no declared query has any more.
    slots: Vec<Option<Arc<str>>>,
    known: HashMap<Arc<str>, usize>,
    /// The number of statements at which those that are no longer declared are forgotten.
    review_at: usize,
}

/// The smallest number of statements at which those that are no longer declared are forgotten.
const FIRST_REVIEW: usize = 64;

// === impl Database ===

impl Database {
    /// Takes the configuration. It reads certificates and the password file, so it belongs to the
    /// start of a program. Nothing connects yet.
    ///
    /// # Errors
    /// A configuration that cannot work: an invalid URL, a file that cannot be read, or a budget
    /// that is too small.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let shares = Shares::new(config.shared_count(), config.pools);
        let (shared, dedicated) = (shares.total(), config.pool_size - shares.total());
        let reads = Connector::new(config.read_url.as_ref().unwrap_or(&config.url), &config, Access::Read)?;
        let writes = Connector::new(&config.url, &config, Access::Write)?;
        // A connector of its own: a host that refuses LISTEN is still good for reads.
        let notices = match (&config.listen_url, config.pooler) {
            (Some(url), _) => Some(url),
            (None, Pooler::None) => Some(&config.url),
            (None, Pooler::Transaction) => None,
        };
        let notices = notices.map(|url| Connector::new(url, &config, Access::Write)).transpose()?;
        Ok(Self(Arc::new(Inner {
            reads: Arc::new(reads),
            writes: Arc::new(writes),
            notices: notices.map(Arc::new),
            shares,
            shared: Arc::new(Semaphore::new(shared)),
            checkouts: Arc::new(Semaphore::new(dedicated)),
            open: Arc::new(OpenConnections::new(dedicated)),
            statements: RwLock::default(),
            functions: Functions::default(),
            counters: Mutex::default(),
            config,
        })))
    }

    /// Declares a query. Each connection prepares it when it opens, so declare queries before you
    /// make pools.
    ///
    /// # Errors
    /// As [`Query::validate`]. Behind a pooler, also a statement that leaves something in its
    /// session.
    pub fn declare(&self, query: Query) -> Result<Arc<Declared>, QueryError> {
        self.declare_for(query, true)
    }

    /// Declares a query at run time, at any moment, for example one that was put together from a
    /// request. No connection prepares it in advance, and each run has a dedicated connection. That
    /// keeps it prepared as long as it lives, so values belong in parameters and not in the text.
    ///
    /// # Errors
    /// As [`Database::declare`].
    pub fn declare_late(&self, query: Query) -> Result<Arc<Declared>, QueryError> {
        self.declare_for(query, false)
    }

    fn declare_for(&self, query: Query, shares: bool) -> Result<Arc<Declared>, QueryError> {
        query.validate()?;
        let (query, count) = match query.paged() {
            Some((page, count)) => (page, Some(self.declare_for(count, shares)?)),
            None => (query, None),
        };
        let statements = query.prepare()?;
        let settings = Settings::new(&query.settings, query.role.as_ref())?;
        let effects = query.effects();
        if effects.touches && self.0.config.pooler == Pooler::Transaction {
            return Err(QueryError::new(
                "a setting, lock or temporary table of the session would reach other clients of the pooler: \
                 use SET LOCAL, set_config(…, true) or pg_advisory_xact_lock",
            ));
        }
        let slot = match &statements[..] {
            [only]
                if shares
                    && query.access == Access::Read
                    && query.isolation.is_none()
                    && settings.is_none()
                    && !effects.is_dirty() =>
            {
                Some(self.slot(&only.sql))
            }
            _ => None,
        };
        self.0.functions.register(&effects.calls);
        let skips_conflicts = query.statements.last().is_some_and(|sql| skips_conflicts(sql));
        let sources = query.params.iter().chain(settings.iter().flat_map(Settings::sources)).cloned().collect();
        Ok(Arc::new(Declared {
            query,
            statements,
            sources,
            slot,
            settings,
            count,
            effects,
            skips_conflicts,
            dedicated: AtomicU8::new(0),
            checked: Mutex::default(),
        }))
    }

    /// Runs a script of statements without parameters, on a connection beside the budget. It is for
    /// set-up, for example for the SQL of [`triggers`](crate::triggers).
    ///
    /// # Errors
    /// An error that PostgreSQL reported, or no connection. The statements before the error remain
    /// done, unless the script has a transaction of its own.
    pub async fn script(&self, sql: &str) -> Result<(), Error> {
        let connection = self.0.writes.open_extra().await?;
        let limit = self.0.config.statement_timeout;
        let done = tokio::time::timeout(limit, connection.client.batch_execute(sql)).await;
        Ok(done.map_err(|_| Error::Timeout(limit))??)
    }

    /// Returns `true` if notifications can arrive. A pooler that hands out connections by
    /// transaction carries none, unless [`Config::listen_url`] goes around it.
    #[must_use]
    pub fn can_listen(&self) -> bool {
        self.0.notices.is_some()
    }

    /// Returns `true` if a read may go to a standby, whose rows may be older than a notification:
    /// with [`Config::read_url`], or with a URL of several hosts that does not require the primary.
    #[must_use]
    pub fn may_be_behind(&self) -> bool {
        let target = self.0.reads.target();
        let primary = matches!(target.server, ServerKind::ReadWrite | ServerKind::Primary);
        self.0.config.read_url.is_some() || (target.pg.get_hosts().len() > 1 && !primary)
    }

    /// The user, hosts and name of the database, without a password.
    #[must_use]
    pub fn place(&self) -> String {
        self.0.writes.target().to_string()
    }

    /// The figures so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Inner { config, counters, shared, checkouts, open, shares, .. } = &*self.0;
        let dedicated = config.pool_size - shares.total();
        let counters = counters.lock();
        let sum = |of: fn(&Counters) -> &AtomicU64| counters.iter().map(|pool| of(pool).load(Ordering::Relaxed)).sum();
        let mut errors = ErrorCounts::default();
        counters.iter().for_each(|pool| pool.add_errors_to(&mut errors));
        Stats {
            budget: config.pool_size as u64,
            shared: (shares.total() - shared.available_permits()) as u64,
            own: open.count(dedicated) as u64,
            busy: (dedicated - checkouts.available_permits()) as u64,
            queries: sum(|pool| &pool.queries),
            joined: sum(|pool| &pool.joined),
            retried: sum(|pool| &pool.retried),
            exhausted: sum(|pool| &pool.exhausted),
            cancelled: sum(|pool| &pool.cancelled),
            lost: sum(|pool| &pool.lost),
            errors,
        }
    }

    /// Makes the counters of a new pool.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        let counters = Arc::<Counters>::default();
        let mut all = self.0.counters.lock();
        // The counts of pools that are gone are kept as one sum.
        let gone = Counters::default();
        all.retain(|pool| {
            let alive = Arc::strong_count(pool) > 1;
            if !alive {
                gone.add(pool);
            }
            alive
        });
        all.extend([Arc::new(gone), counters.clone()]);
        counters
    }

    pub(crate) fn connector(&self, access: Access) -> &Arc<Connector> {
        match access {
            Access::Read => &self.0.reads,
            Access::Write => &self.0.writes,
        }
    }

    /// The statements that are declared, each with its slot.
    pub(crate) fn statements(&self) -> Vec<(usize, Arc<str>)> {
        self.0.statements.read().declared()
    }

    fn slot(&self, sql: &Arc<str>) -> usize {
        self.0.statements.write().slot(sql)
    }
}

// === impl Statements ===

impl Statements {
    /// The slot of a statement, which is a new one if no declared query has it.
    fn slot(&mut self, sql: &Arc<str>) -> usize {
        if let Some(slot) = self.known.get(sql) {
            return *slot;
        }
        if self.known.len() >= self.review_at.max(FIRST_REVIEW) {
            self.forget_undeclared();
            self.review_at = 2 * self.known.len();
        }
        let slot = self.slots.len();
        self.slots.push(Some(sql.clone()));
        self.known.insert(sql.clone(), slot);
        slot
    }

    /// Forgets the statements that no declared query has any more. Their slots stay empty, because
    /// a connection may have a statement prepared under each.
    fn forget_undeclared(&mut self) {
        for slot in &mut self.slots {
            if let Some(sql) = slot.take_if(|sql| Arc::strong_count(sql) == 2) {
                self.known.remove(&sql);
            }
        }
    }

    fn declared(&self) -> Vec<(usize, Arc<str>)> {
        let slots = self.slots.iter().enumerate();
        // One that only this table has is declared no more.
        let declared = slots.filter_map(|(slot, sql)| Some((slot, sql.as_ref()?)));
        declared.filter(|(_, sql)| Arc::strong_count(sql) > 2).map(|(slot, sql)| (slot, sql.clone())).collect()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("config", &self.0.config).field("stats", &self.stats()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_are_no_longer_declared_are_forgotten() {
        let mut statements = Statements::default();
        let kept: Arc<str> = "SELECT 1".into();
        assert_eq!(statements.slot(&kept), 0);
        for number in 1..10_000 {
            let sql: Arc<str> = format!("SELECT {number} AS n").into();
            assert_eq!(statements.slot(&sql), number);
            assert_eq!(statements.slot(&sql), number);
        }
        assert!(statements.known.len() <= FIRST_REVIEW, "{}", statements.known.len());
        assert_eq!(statements.declared(), [(0, kept.clone())]);
        assert_eq!(statements.slot(&kept), 0);
    }
}
