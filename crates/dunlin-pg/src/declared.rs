//! [`Declared`]: a query that was declared to a database.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::Error;
use crate::param::Param;
use crate::query::{Query, SettingValues, Settings, Source, Statement};
use crate::sql::Effects;

/// A query that was declared to a [`Database`](crate::Database), for any of its pools.
pub struct Declared {
    pub(crate) query: Query,
    pub(crate) statements: Vec<Statement>,
    pub(crate) sources: Box<[Source]>,
    /// The index of the only statement of a shared read among those of the database.
    pub(crate) slot: Option<usize>,
    /// The settings of the transaction, if there are any.
    pub(crate) settings: Option<Settings>,
    /// The query of the number of all rows, if this one has pages.
    pub(crate) count: Option<Arc<Declared>>,
    /// The effects of the statements on their session, which is cleaned afterwards.
    pub(crate) effects: Effects,
    /// `true` if the last statement is an INSERT that skips rows that exist.
    pub(crate) skips_conflicts: bool,
    /// The number of next answers that get a dedicated connection.
    pub(crate) dedicated: AtomicU8,
    /// The time of the last look-up of the parameters' types.
    pub(crate) checked: Mutex<Option<Instant>>,
}

/// The number of answers that get a dedicated connection after one was large or slow.
const DEDICATED: u8 = 32;

/// The duration from which a read is slow.
const SLOW: Duration = Duration::from_millis(100);

/// The shortest time between two look-ups of the types of one query's parameters.
const RECHECK: Duration = Duration::from_secs(1);

// === impl Declared ===

impl Declared {
    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The sources of the parameters, and then of the settings.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The values of the settings, if there are any. `params` are those of the query, and then
    /// those of the settings.
    pub(crate) fn setting_values(&self, params: &[Param]) -> Result<Option<SettingValues>, Error> {
        let Some(settings) = &self.settings else { return Ok(None) };
        settings.values(params.get(self.query.params.len()..).unwrap_or_default()).map(Some)
    }

    /// Returns `true` if this answer gets a dedicated connection, because an earlier one was large
    /// or slow. After some answers, a shared connection is tried again.
    pub(crate) fn takes_dedicated(&self) -> bool {
        let left = self.dedicated.load(Ordering::Relaxed);
        if left > 0 {
            self.dedicated.store(left - 1, Ordering::Relaxed);
        }
        left > 0
    }

    /// Gives the next answers dedicated connections.
    pub(crate) fn prefer_dedicated(&self) {
        self.dedicated.store(DEDICATED, Ordering::Relaxed);
    }

    /// Moves a query off the shared connections if it was streamed or slow. `started` is a time
    /// after the wait for a connection: otherwise an overload would move all reads for good.
    pub(crate) fn note_cost(&self, started: Instant, streamed: bool) {
        if self.slot.is_some() && (streamed || started.elapsed() > SLOW) {
            self.prefer_dedicated();
        }
    }

    /// Returns `true` if the types of the parameters are to be looked up again because a parameter
    /// was refused: a migration may have changed them. That is at most once a second, so that
    /// clients that send invalid values cause little work.
    pub(crate) fn take_recheck(&self) -> bool {
        let mut checked = self.checked.lock();
        let now = Instant::now();
        let due = checked.is_none_or(|last| now.duration_since(last) >= RECHECK);
        if due {
            *checked = Some(now);
        }
        due
    }

    /// Returns `true` if the statement is to be prepared again because of this error.
    pub(crate) fn is_stale(&self, error: &Error) -> bool {
        error.is_stale_plan() || error.is_stale_description() || (error.is_about_a_name() && self.take_recheck())
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
