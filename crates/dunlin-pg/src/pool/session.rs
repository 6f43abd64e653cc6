//! [`Session`]: a dedicated connection and its state.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::sync::OwnedSemaphorePermit;

use super::Pool;
use crate::connect::CANCELLATIONS;
use crate::error::{Error, ErrorKind};
use crate::query::Access;
use crate::sql::Effects;

/// The time for an answer after the server's own limit, and the limit of a rollback.
const GRACE: Duration = Duration::from_secs(1);

/// A dedicated connection. Its drop depends on its state: a clean one goes back to the pool, an
/// open transaction is rolled back first, a running statement is cancelled and the connection
/// closed.
pub(super) struct Session {
    /// `None` only within `Drop`.
    object: Option<Object>,
    permit: Option<OwnedSemaphorePermit>,
    access: Access,
    pool: Pool,
    state: State,
    /// `true` if a statement may have left something in the session that outlives its transaction.
    is_dirty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Clean,
    /// In a transaction, between statements.
    Open,
    /// A statement runs.
    Busy,
    /// Not to be used again.
    Broken,
}

/// Cleans a session as DISCARD ALL does, except for the prepared statements. The settings of a new
/// connection follow it.
const RESET: &str = "; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; \
    SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; ";

/// The command that ends a transaction. Behind a pooler, it removes all prepared statements: the
/// client library has some for types, which the next client of the server's session would meet.
pub(super) fn end(command: &str, is_pooled: bool) -> String {
    match (command, is_pooled) {
        (command, false) => command.to_owned(),
        // Before it, because a COMMIT that fails ends the transaction as well.
        ("COMMIT", true) => "DEALLOCATE ALL; COMMIT".to_owned(),
        // After it, because a failed transaction accepts no other command.
        (command, true) => format!("{command}; DEALLOCATE ALL"),
    }
}

// === impl Session ===

impl Session {
    pub(super) fn new(object: Object, permit: OwnedSemaphorePermit, access: Access, pool: Pool) -> Self {
        Self { object: Some(object), permit: Some(permit), access, pool, state: State::Clean, is_dirty: false }
    }

    /// Makes sure that the session is cleaned before another request gets it.
    pub(super) const fn mark_dirty(&mut self) {
        self.is_dirty = true;
    }

    /// Marks the session as dirty if a statement with these effects may leave something in it. The
    /// server is asked once whether the functions that it calls are volatile.
    pub(super) async fn note(&mut self, effects: &Effects, in_transaction: bool) -> Result<(), Error> {
        if effects.is_dirty() {
            self.mark_dirty();
        }
        // A pooler's session cannot be cleaned from here.
        if self.is_dirty || effects.calls.is_empty() || self.is_pooled() {
            return Ok(());
        }
        let pool = self.pool.clone();
        let functions = &pool.0.database.0.functions;
        if functions.is_any_volatile(&effects.calls).is_none() {
            functions.register(&effects.calls);
            self.busy();
            let look_up = async { Ok(functions.look_up(self.object()?).await?) };
            let result = Self::within(self.limit(), look_up).await;
            self.done(in_transaction, &result);
            result?;
        }
        if functions.is_any_volatile(&effects.calls) == Some(true) {
            self.mark_dirty();
        }
        Ok(())
    }

    /// The connection. It exists until the session is dropped.
    pub(super) fn object(&self) -> Result<&Object, Error> {
        self.object.as_ref().ok_or_else(|| Error::Unreachable("the connection was given back".into()))
    }

    pub(super) fn object_mut(&mut self) -> Result<&mut Object, Error> {
        self.object.as_mut().ok_or_else(|| Error::Unreachable("the connection was given back".into()))
    }

    /// Makes each connection of the pool prepare a statement again, because a migration makes the
    /// plans of all of them stale.
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

    /// Marks the start of a statement. If the session is dropped before [`Session::done`], the
    /// statement is cancelled.
    pub(super) const fn busy(&mut self) {
        self.state = State::Busy;
    }

    /// Marks the end of a statement, after which the session is in a transaction or in none.
    pub(super) fn done<T>(&mut self, in_transaction: bool, result: &Result<T, Error>) {
        if let Err(error) = result {
            self.pool.0.counters.failed(error);
        }
        self.state = match result.as_ref().err() {
            Some(error) if error.is_lost() => State::Broken,
            // The client library's own statements for types belong to another session of the
            // pooler by now.
            Some(error) if error.is_statement_of_another_session() && self.is_pooled() => State::Broken,
            // The server has become a standby. The next connection goes to the new primary.
            Some(error) if error.is_read_only_server() && self.access == Access::Write => State::Broken,
            // Only an answer of the server tells that the statement has ended. A parameter is
            // refused before anything is sent.
            Some(error) if error.as_db_error().is_none() && error.kind() != ErrorKind::Input => State::Busy,
            _ if in_transaction => State::Open,
            _ => State::Clean,
        };
    }

    /// Closes the connection.
    pub(super) fn discard(mut self) {
        self.state = State::Broken;
    }

    /// Waits for a step, no longer than `limit`.
    pub(super) async fn within<T>(limit: Duration, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(limit, step).await.unwrap_or(Err(Error::Timeout(limit)))
    }

    /// Returns `true` if a pooler stands between, so that no prepared statement may outlive its
    /// transaction.
    pub(super) fn is_pooled(&self) -> bool {
        self.pool.is_pooled()
    }

    /// The limit of a wait for an answer: the server's own limit and some time for a server that is
    /// gone.
    pub(super) fn limit(&self) -> Duration {
        self.pool.config().statement_timeout + GRACE
    }

    /// Rolls back and cleans. The permit is held meanwhile, so the connection still counts as busy.
    fn clean(&mut self, object: Object) -> impl Future<Output = ()> + Send + 'static {
        let permit = self.permit.take();
        let mut sql = end("ROLLBACK", self.is_pooled());
        if self.is_dirty {
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
                // The answer to this comes when the statement before it has ended.
                if tokio::time::timeout(pause, object.simple_query("")).await.is_ok() {
                    break;
                }
            }
            // The connection is closed, because a late cancellation must not hit the next
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
            (State::Clean, _) if !self.is_dirty => drop(object),
            (State::Clean | State::Open, Ok(runtime)) => drop(runtime.spawn(self.clean(object))),
            (State::Busy, Ok(runtime)) => drop(runtime.spawn(self.cancel(object))),
            // Without a runtime, the close ends the statement, only later.
            (State::Broken | State::Clean | State::Open | State::Busy, _) => drop(Object::take(object)),
        }
    }
}
