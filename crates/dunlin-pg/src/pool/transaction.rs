//! [`Transaction`]: a transaction by hand, and the commands of all transactions.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::join;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::Pool;
use super::session::{self, Session};
use crate::config::{Config, Pooler};
use crate::declared::Declared;
use crate::error::Error;
use crate::query::{Access, Isolation, SettingValues};
use crate::sql::Effects;

/// The options of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// A read goes to the URL for reads, and its transaction is read-only.
    pub access: Access,
    /// The isolation level. `None` is the database's default.
    pub isolation: Option<Isolation>,
}

/// A transaction on a dedicated connection. If it is dropped before [`Transaction::commit`], it is
/// rolled back. If it is dropped while a statement runs, the statement is cancelled.
pub struct Transaction {
    session: Session,
    /// The error after which the server accepts nothing but a rollback.
    failed: Option<Error>,
}

// === impl Pool ===

impl Pool {
    /// Begins a transaction.
    ///
    /// # Errors
    /// No connection, or an error that PostgreSQL reported.
    pub async fn begin(&self, options: TransactionOptions) -> Result<Transaction, Error> {
        let mut session = self.checkout(options.access).await?;
        self.count_query();
        begin(&mut session, options, self).await?;
        Ok(Transaction { session, failed: None })
    }

    /// Runs `work`, which begins and commits a transaction. After a serialization failure or a
    /// deadlock it runs again, at most [`Config::retries`](crate::Config::retries) times. The
    /// pauses grow and are random.
    ///
    /// # Errors
    /// The last error of `work`.
    pub async fn retry<T, F>(&self, mut work: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut attempt = 0;
        loop {
            match work().await {
                Err(error) if error.is_transient() && attempt < self.config().retries => {
                    self.count_retry();
                    pause(attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

// === impl Transaction ===

impl Transaction {
    /// Runs a statement and returns its rows. It is prepared once for each connection; behind a
    /// pooler, each time. It stays prepared as long as the connection lives, so values belong in
    /// `params` and not in the text.
    ///
    /// # Errors
    /// The error that PostgreSQL reported.
    pub async fn query(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let pooled = self.session.is_pooled();
        self.note(sql).await?;
        self.step(async |object| {
            if pooled {
                let typed = typed(object, sql, params).await?;
                return Ok(object.query_typed(sql, &typed).await?);
            }
            let statement = object.prepare_cached(sql).await?;
            Ok(object.query(&statement, params).await?)
        })
        .await
    }

    /// Runs a statement and returns the number of rows that it changed.
    ///
    /// # Errors
    /// The error that PostgreSQL reported.
    pub async fn execute(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let pooled = self.session.is_pooled();
        self.note(sql).await?;
        self.step(async |object| {
            if pooled {
                let typed = typed(object, sql, params).await?;
                return Ok(object.execute_typed(sql, &typed).await?);
            }
            let statement = object.prepare_cached(sql).await?;
            Ok(object.execute(&statement, params).await?)
        })
        .await
    }

    /// Commits. If a statement failed and no rollback to a savepoint followed, all is rolled back,
    /// and the error is the one of that statement.
    ///
    /// # Errors
    /// The error that PostgreSQL reported. After an error of the connection the outcome is unknown:
    /// the transaction may have committed.
    pub async fn commit(mut self) -> Result<(), Error> {
        if let Some(error) = self.failed.take() {
            // PostgreSQL rolls back at `COMMIT` as well, but reports no error.
            end(&mut self.session, "ROLLBACK").await?;
            return Err(error);
        }
        end(&mut self.session, "COMMIT").await
    }

    /// Rolls back and waits for the end. A drop rolls back in the background.
    ///
    /// # Errors
    /// The error that PostgreSQL reported.
    pub async fn rollback(mut self) -> Result<(), Error> {
        end(&mut self.session, "ROLLBACK").await
    }

    /// Makes sure that the session is cleaned if the statement may leave something in it.
    async fn note(&mut self, sql: &str) -> Result<(), Error> {
        let effects = Effects::of(sql);
        if self.failed.is_some() {
            // The server answers nothing until the transaction is rolled back.
            if effects.is_dirty() || !effects.calls.is_empty() {
                self.session.mark_dirty();
            }
            return Ok(());
        }
        self.session.note(&effects, true).await
    }

    async fn step<T>(&mut self, step: impl AsyncFnOnce(&Object) -> Result<T, Error>) -> Result<T, Error> {
        let limit = self.session.limit();
        self.session.busy();
        let result = Session::within(limit, step(self.session.object()?)).await;
        self.session.done(true, &result);
        match &result {
            Ok(_) => self.failed = None,
            Err(error) if error.as_db_error().is_some() => _ = self.failed.get_or_insert_with(|| error.clone()),
            Err(_) => {}
        }
        result
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}

/// The parameters with their types, for a statement without a name. A named statement would stay in
/// the pooler's session as long as any of its rows.
async fn typed<'a>(
    object: &Object,
    sql: &str,
    params: &[&'a (dyn ToSql + Sync)],
) -> Result<Vec<(&'a (dyn ToSql + Sync), Type)>, tokio_postgres::Error> {
    let prepared = object.prepare(sql).await?;
    Ok(params.iter().copied().zip(prepared.params().iter().cloned()).collect())
}

/// The command that begins a transaction.
pub(super) fn begin_sql(access: Access, isolation: Option<Isolation>) -> String {
    let mut sql = String::from("BEGIN");
    if let Some(isolation) = isolation {
        sql.push_str(" ISOLATION LEVEL ");
        sql.push_str(isolation.as_str());
    }
    sql.push_str(if access == Access::Read { " READ ONLY" } else { " READ WRITE" });
    sql
}

pub(super) async fn begin(session: &mut Session, options: TransactionOptions, pool: &Pool) -> Result<(), Error> {
    command(session, &begin_with_limits(options, pool), true).await
}

/// Begins a transaction with the settings of a query, in one round trip. No statement may be sent
/// before both have succeeded.
pub(super) async fn begin_for(
    session: &mut Session,
    query: &Declared,
    values: Option<&SettingValues>,
    pool: &Pool,
) -> Result<(), Error> {
    let options = TransactionOptions { access: query.access, isolation: query.isolation };
    let (Some(settings), Some(values)) = (&query.settings, values) else {
        return begin(session, options, pool).await;
    };
    let (limit, sql) = (session.limit(), begin_with_limits(options, pool));
    session.busy();
    let both = async {
        let client: &tokio_postgres::Client = session.object()?;
        let (begun, set) = join(client.batch_execute(&sql), settings.set(client, values)).await;
        begun?;
        set
    };
    let result = Session::within(limit, both).await;
    session.done(true, &result);
    result
}

fn begin_with_limits(options: TransactionOptions, pool: &Pool) -> String {
    let mut sql = begin_sql(options.access, options.isolation);
    if let Some(limits) = limits(pool.config()) {
        sql.push_str("; ");
        sql.push_str(&limits);
    }
    sql
}

/// The commands that set the limits in a transaction. Behind a pooler, the start of a session sets
/// nothing.
pub(super) fn limits(config: &Config) -> Option<String> {
    let (statement, idle) = (config.statement_timeout.as_millis(), config.idle_transaction_timeout.as_millis());
    (config.pooler == Pooler::Transaction).then(|| {
        format!("SET LOCAL statement_timeout = {statement}; SET LOCAL idle_in_transaction_session_timeout = {idle}")
    })
}

pub(super) async fn end(session: &mut Session, sql: &str) -> Result<(), Error> {
    let sql = session::end(sql, session.is_pooled());
    command(session, &sql, false).await
}

pub(super) async fn command(session: &mut Session, sql: &str, in_transaction: bool) -> Result<(), Error> {
    let limit = session.limit();
    session.busy();
    let run = async { Ok(session.object()?.batch_execute(sql).await?) };
    let result = Session::within(limit, run).await;
    session.done(in_transaction, &result);
    result
}

/// Waits for up to 5, 10, 20, … ms, at random, so that transactions in conflict do not meet again.
pub(super) async fn pause(attempt: u32) {
    let limit = Duration::from_millis(5 << attempt.min(6));
    tokio::time::sleep(limit.mul_f64(fastrand::f64())).await;
}
