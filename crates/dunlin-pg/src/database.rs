//! [`Database`]: one budget of connections for the process, and what is declared to run on it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use crate::config::{Config, ConfigError, Pooler};
use crate::connect::{Connector, Room};
use crate::describe::{self, Description};
use crate::error::Error;
use crate::functions::Functions;
use crate::listen::Listener;
use crate::param::Param;
use crate::pool::{Pool, Shares};
use crate::query::{Access, Query, QueryError, Source, Statement};
use crate::settings::{Settings, Values};
use crate::sql::{Effects, skips_conflicts};
use crate::stats::{Counters, ErrorCounts, Stats};
use crate::target::Session;

/// A database, and how many connections this process may have to it. Cheap to clone; nothing is
/// connected until a [`Pool`] is made.
#[derive(Clone)]
pub struct Database(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) reads: Arc<Connector>,
    pub(crate) writes: Arc<Connector>,
    /// Where notices are heard, if anywhere.
    pub(crate) notices: Option<Arc<Connector>>,
    /// The pools, which divide the shared connections.
    pub(crate) shares: Shares,
    /// A permit for each shared connection.
    pub(crate) links: Arc<Semaphore>,
    /// A permit for each of the other connections that is at work.
    pub(crate) checkouts: Arc<Semaphore>,
    pub(crate) room: Arc<Room>,
    /// What each shared connection prepares when it opens; a declared statement knows its place.
    pub(crate) statements: RwLock<Vec<Arc<str>>>,
    /// The functions that statements call.
    pub(crate) functions: Functions,
    /// What each pool did; it counts still when the pool is gone.
    counters: Mutex<Vec<Arc<Counters>>>,
}

/// A query that was declared to a [`Database`], for any of its pools.
pub struct Declared {
    query: Query,
    statements: Vec<Statement>,
    /// Where the only statement of a shared read stands among the database's.
    pub(crate) slot: Option<usize>,
    /// The settings of the transaction, if there are any.
    pub(crate) settings: Option<Settings>,
    /// What the statements leave in their session, which is cleaned afterwards.
    pub(crate) effects: Effects,
    /// `true` if the answer is an INSERT that gives no row where there is one already.
    pub(crate) skips_conflicts: bool,
    /// How many more answers go to a connection of their own, because one was large or slow.
    heavy: AtomicU8,
    /// The last time that the types of the parameters were looked up again.
    checked: Mutex<Option<Instant>>,
}

/// How many answers go to a connection of their own after one was too much for a shared one.
const HEAVY: u8 = 32;

/// The shortest time between two look-ups of the types of one query's parameters.
const RECHECK: Duration = Duration::from_secs(1);

// === impl Database ===

impl Database {
    /// Takes the configuration; nothing is connected yet. Reads certificates and the file of
    /// passwords, so it belongs to start-up.
    ///
    /// # Errors
    /// What cannot work: a URL that does not parse, a file that cannot be read, a budget too small.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let shared = config.shared_count() * config.pools;
        let rest = config.pool_size - shared;
        let reads = Connector::new(config.read_url.as_ref().unwrap_or(&config.url), &config, Access::Read)?;
        let writes = Connector::new(&config.url, &config, Access::Write)?;
        // By a connector of its own: that a host cannot be listened to is no reason not to read
        // there.
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
            shares: Shares::new(config.shared_count(), config.pools),
            links: Arc::new(Semaphore::new(shared)),
            checkouts: Arc::new(Semaphore::new(rest)),
            room: Arc::new(Room { open: Arc::new(Semaphore::new(rest)), evictions: Mutex::default() }),
            statements: RwLock::default(),
            functions: Functions::default(),
            counters: Mutex::default(),
            config,
        })))
    }

    /// A pool for the event loop that this is called on. It begins to connect at once, in the
    /// background, and keeps trying when the database is away.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool::start(self.clone())
    }

    /// Declares a query, so that each connection prepares it when it opens. Declare before making
    /// pools.
    ///
    /// # Errors
    /// As [`Query::validate`].
    pub fn declare(&self, query: Query) -> Result<Arc<Declared>, QueryError> {
        let statements = query.prepare()?;
        let settings = Settings::of(&query)?;
        let effects = query.effects();
        if effects.touches && self.0.config.pooler == Pooler::Transaction {
            return Err(QueryError::new(
                "a setting, lock or temporary table of the session would reach other clients of the pooler: \
                 use SET LOCAL, set_config(…, true) or pg_advisory_xact_lock",
            ));
        }
        let slot = match &statements[..] {
            [only]
                if query.access == Access::Read
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
        let (heavy, checked) = (AtomicU8::new(0), Mutex::default());
        Ok(Arc::new(Declared { query, statements, slot, settings, effects, skips_conflicts, heavy, checked }))
    }

    /// Asks the database about declared queries, each of its statements: whether it prepares, what
    /// its parameters and columns are.
    ///
    /// # Errors
    /// When the database cannot be asked at all.
    pub async fn describe(&self, queries: &[Arc<Declared>]) -> Result<Vec<Result<Description, Error>>, Error> {
        describe::all(self, queries).await
    }

    /// Runs a script of statements without parameters, on a connection of its own: to set something
    /// up, say what [`triggers`](crate::triggers) wrote.
    ///
    /// # Errors
    /// When the database cannot be asked, or refuses a statement. What was run before that stands, unless the script has
    /// a transaction of its own.
    pub async fn script(&self, sql: &str) -> Result<(), Error> {
        let alone = self.0.writes.open_alone().await?;
        let limit = self.0.config.statement_timeout;
        let done = tokio::time::timeout(limit, alone.client.batch_execute(sql)).await;
        Ok(done.map_err(|_| Error::Timeout(limit))??)
    }

    /// Listens on channels, on a connection of its own. Where [`Database::can_listen`] says no
    /// there is never an event, not even [`Event::Gap`](crate::Event::Gap): what is derived from
    /// notices cannot be relied on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn listen<S: Into<String>>(&self, channels: impl IntoIterator<Item = S>) -> Listener {
        Listener::new(self.0.notices.clone(), channels.into_iter().map(Into::into).collect())
    }

    /// Whether notices can be heard: not through a pooler that hands out connections by
    /// transaction, unless [`Config::listen_url`] goes around it.
    #[must_use]
    pub fn can_listen(&self) -> bool {
        self.0.notices.is_some()
    }

    /// Whether a read may come to a standby, whose rows may be older than a notice: by
    /// [`Config::read_url`], or by a URL of several hosts that does not ask for the primary.
    #[must_use]
    pub fn may_be_behind(&self) -> bool {
        let target = self.0.reads.target();
        let primary = matches!(target.session, Session::ReadWrite | Session::Primary);
        self.0.config.read_url.is_some() || (target.pg.get_hosts().len() > 1 && !primary)
    }

    /// Where it is, for people: user, hosts and name, without a password.
    #[must_use]
    pub fn place(&self) -> String {
        self.0.writes.target().to_string()
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Inner { config, counters, links, checkouts, room, .. } = &*self.0;
        let shared = self.0.shares.total();
        let rest = config.pool_size - shared;
        let counters = counters.lock();
        let sum = |of: fn(&Counters) -> &AtomicU64| counters.iter().map(|pool| of(pool).load(Ordering::Relaxed)).sum();
        let mut errors = ErrorCounts::default();
        counters.iter().for_each(|pool| pool.add_errors_to(&mut errors));
        Stats {
            budget: config.pool_size as u64,
            shared: (shared - links.available_permits()) as u64,
            own: (rest - room.open.available_permits()) as u64,
            busy: (rest - checkouts.available_permits()) as u64,
            queries: sum(|pool| &pool.queries),
            joined: sum(|pool| &pool.joined),
            retried: sum(|pool| &pool.retried),
            exhausted: sum(|pool| &pool.exhausted),
            cancelled: sum(|pool| &pool.cancelled),
            lost: sum(|pool| &pool.lost),
            errors,
        }
    }

    /// For one more pool to count in.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        let counters = Arc::<Counters>::default();
        let mut all = self.0.counters.lock();
        // What pools counted that are gone is kept as one sum.
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

    pub(crate) fn statements(&self) -> Vec<Arc<str>> {
        self.0.statements.read().clone()
    }

    fn slot(&self, sql: &Arc<str>) -> usize {
        let mut statements = self.0.statements.write();
        statements.iter().position(|known| known == sql).unwrap_or_else(|| {
            statements.push(sql.clone());
            statements.len() - 1
        })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("config", &self.0.config).field("stats", &self.stats()).finish()
    }
}

// === impl Declared ===

impl Declared {
    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The sources of the parameters, and of the settings behind them.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.query.params.iter().chain(self.settings.iter().flat_map(Settings::sources))
    }

    /// The values of the settings, if there are any. `params` are those of the query, with those of
    /// the settings behind them.
    pub(crate) fn setting_values(&self, params: &[Param]) -> Result<Option<Values>, Error> {
        let Some(settings) = &self.settings else { return Ok(None) };
        settings.values(params.get(self.query.params.len()..).unwrap_or_default()).map(Some)
    }

    /// Whether this answer goes to a connection of its own. One in a while tries the shared ones
    /// again.
    pub(crate) fn is_heavy(&self) -> bool {
        let left = self.heavy.load(Ordering::Relaxed);
        if left > 0 {
            self.heavy.store(left - 1, Ordering::Relaxed);
        }
        left > 0
    }

    /// Returns `true` if a refused parameter is a reason to look the types up again: a migration
    /// may have changed them. Clients that send nonsense cause this once a second at most.
    pub(crate) fn may_have_changed(&self) -> bool {
        let mut checked = self.checked.lock();
        let now = Instant::now();
        let due = checked.is_none_or(|last| now.duration_since(last) >= RECHECK);
        if due {
            *checked = Some(now);
        }
        due
    }

    /// Returns `true` if a statement is to be prepared anew because of this error.
    pub(crate) fn is_stale(&self, error: &Error) -> bool {
        error.is_stale_plan() || error.is_stale_description() || (error.is_about_a_name() && self.may_have_changed())
    }

    /// This answer was too much for a shared connection: the next ones go to their own.
    pub(crate) fn keep_apart(&self) {
        self.heavy.store(HEAVY, Ordering::Relaxed);
    }
}

impl Deref for Declared {
    type Target = Query;

    fn deref(&self) -> &Query {
        &self.query
    }
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Declared").field(&self.query).finish()
    }
}
