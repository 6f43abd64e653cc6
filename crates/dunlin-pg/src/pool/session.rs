//! [`Session`]: a connection that was checked out, and what state it is in.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::sync::OwnedSemaphorePermit;

use super::Pool;
use crate::config::Pooler;
use crate::connect::CANCELLATIONS;
use crate::error::{Error, ErrorKind};
use crate::query::Access;
use crate::sql::Effects;

/// How long after the server's own limit an answer may come, and how long a rollback may take.
const GRACE: Duration = Duration::from_secs(1);

/// A connection that was checked out. Dropping it costs a round trip only when it is dirty: a clean
/// one goes back as it is, an open transaction is rolled back first, a statement under way is
/// cancelled and the connection closed.
pub(super) struct Session {
    /// Taken only by `Drop`.
    object: Option<Object>,
    permit: Option<OwnedSemaphorePermit>,
    access: Access,
    pool: Pool,
    state: State,
    /// `true` if a statement left something in the session that outlives its transaction.
    is_touched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Clean,
    /// In a transaction that waits for its next statement.
    Open,
    /// A statement is under way.
    Busy,
    /// Not to be used again.
    Broken,
}

/// Cleans a session, as DISCARD ALL does, but for the prepared statements. The settings that a
/// connection begins with come behind it.
const RESET: &str = "; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; \
    SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; ";

/// The command that ends a transaction. Behind a pooler, no statement may survive it: the client
/// library has its own about types, which the next client of the server's session would meet.
pub(super) fn end(command: &str, is_pooled: bool) -> String {
    match (command, is_pooled) {
        (command, false) => command.to_owned(),
        // Before it, because a COMMIT that fails ends the transaction as well.
        ("COMMIT", true) => "DEALLOCATE ALL; COMMIT".to_owned(),
        // Behind it, because a failed transaction takes no other command.
        (command, true) => format!("{command}; DEALLOCATE ALL"),
    }
}

// === impl Session ===

impl Session {
    pub(super) fn new(object: Object, permit: OwnedSemaphorePermit, access: Access, pool: Pool) -> Self {
        Self { object: Some(object), permit: Some(permit), access, pool, state: State::Clean, is_touched: false }
    }

    /// Has the session cleaned before another request gets it.
    pub(super) const fn touch(&mut self) {
        self.is_touched = true;
    }

    /// Has the session cleaned if a statement with these effects may leave something in it. Which
    /// functions are volatile is asked once.
    pub(super) async fn note(&mut self, effects: &Effects, in_transaction: bool) -> Result<(), Error> {
        if effects.is_dirty() {
            self.touch();
        }
        // A pooler's session cannot be cleaned from here.
        if self.is_touched || effects.calls.is_empty() || self.is_pooled() {
            return Ok(());
        }
        let pool = self.pool.clone();
        let functions = &pool.0.database.0.functions;
        if functions.is_any_volatile(&effects.calls).is_none() {
            functions.register(&effects.calls);
            self.busy();
            let asked = async { Ok(functions.look_up(self.object()?).await?) };
            let result = Self::within(self.limit(), asked).await;
            self.done(in_transaction, &result);
            result?;
        }
        if functions.is_any_volatile(&effects.calls) == Some(true) {
            self.touch();
        }
        Ok(())
    }

    /// The connection. It is there until the session is dropped.
    pub(super) fn object(&self) -> Result<&Object, Error> {
        self.object.as_ref().ok_or_else(|| Error::Unreachable("the connection was given back".into()))
    }

    pub(super) fn object_mut(&mut self) -> Result<&mut Object, Error> {
        self.object.as_mut().ok_or_else(|| Error::Unreachable("the connection was given back".into()))
    }

    /// Has each connection of its pool prepare a statement anew, for a migration makes all of them
    /// stale at once.
    pub(super) fn forget(&self, sql: &str) {
        let Some(object) = &self.object else { return };
        if let Some(pool) = Object::pool(object) {
            pool.manager().statement_caches.remove(sql, &[]);
            pool.retain(|client, _| {
                client.clear_type_cache();
                true
            });
        }
        object.clear_type_cache();
    }

    /// Marks what runs now, until [`Session::done`]: dropped meanwhile, it is cancelled.
    pub(super) const fn busy(&mut self) {
        self.state = State::Busy;
    }

    /// What ran has come to its end, well or not, and left the session inside of a transaction or
    /// outside of any.
    pub(super) fn done<T>(&mut self, in_transaction: bool, result: &Result<T, Error>) {
        if let Err(error) = result {
            self.pool.0.counters.failed(error);
        }
        self.state = match result.as_ref().err() {
            Some(error) if error.is_lost() => State::Broken,
            // The client library has its own questions about types prepared, in what is another
            // session by now.
            Some(error) if error.is_statement_of_another_session() && self.is_pooled() => State::Broken,
            // The writer's server has become a standby: the next connection goes where writing is.
            Some(error) if error.is_read_only_server() && self.access == Access::Write => State::Broken,
            // Only the server's word tells that the statement is over; a parameter is refused
            // before it is sent.
            Some(error) if error.as_db_error().is_none() && error.kind() != ErrorKind::Input => State::Busy,
            _ if in_transaction => State::Open,
            _ => State::Clean,
        };
    }

    /// Closes the connection.
    pub(super) fn discard(mut self) {
        self.state = State::Broken;
    }

    /// Waits no longer than the server may take, and a moment for a server that is gone.
    pub(super) async fn within<T>(limit: Duration, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(limit, step).await.unwrap_or(Err(Error::Timeout(limit)))
    }

    /// Whether a pooler stands between, so that no statement may be prepared for longer than a
    /// transaction.
    pub(super) fn is_pooled(&self) -> bool {
        self.pool.0.database.0.config.pooler == Pooler::Transaction
    }

    pub(super) fn limit(&self) -> Duration {
        self.pool.0.database.0.config.statement_timeout + GRACE
    }

    /// The permit leaves with the connection: while it is cleaned it still counts as at work.
    fn clean(&mut self, object: Object) -> impl Future<Output = ()> + Send + 'static {
        let permit = self.permit.take();
        let mut sql = end("ROLLBACK", self.is_pooled());
        if self.is_touched {
            sql.push_str(RESET);
            sql.push_str(self.pool.0.database.connector(self.access).setup());
        }
        async move {
            let rolled = tokio::time::timeout(GRACE, object.batch_execute(&sql)).await;
            if !matches!(rolled, Ok(Ok(()))) {
                drop(Object::take(object));
            }
            drop(permit);
        }
    }

    fn cancel(&mut self, object: Object) -> impl Future<Output = ()> + Send + 'static {
        let permit = self.permit.take();
        let connector = self.pool.0.database.connector(self.access).clone();
        let token = object.cancel_token();
        self.pool.0.counters.cancelled.fetch_add(1, Ordering::Relaxed);
        async move {
            for pause in CANCELLATIONS {
                connector.cancel(&token).await;
                // What is sent behind the statement is answered when that is over.
                if tokio::time::timeout(pause, object.simple_query("")).await.is_ok() {
                    break;
                }
            }
            // Closed rather than used again: a cancellation that is late must not hit the next
            // statement.
            drop(Object::take(object));
            drop(permit);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        let runtime = tokio::runtime::Handle::try_current();
        match (self.state, runtime) {
            (State::Clean, _) if !self.is_touched => drop(object),
            (State::Clean | State::Open, Ok(runtime)) => drop(runtime.spawn(self.clean(object))),
            (State::Busy, Ok(runtime)) => drop(runtime.spawn(self.cancel(object))),
            // Closing ends what runs there, only later.
            (State::Broken | State::Clean | State::Open | State::Busy, _) => drop(Object::take(object)),
        }
    }
}
