//! Transactions: begun, ended, rolled back when dropped, run again when they lose.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::join;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::session::{self, Session};
use super::{Pool, pipeline};
use crate::config::{Config, Pooler};
use crate::database::Declared;
use crate::error::Error;
use crate::query::{Access, Isolation};
use crate::settings::Values;
use crate::sql::Effects;

/// How a transaction begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// A read goes to the read URL and cannot write.
    pub access: Access,
    /// `None` is the database's default.
    pub isolation: Option<Isolation>,
}

/// A transaction on a connection of its own. Dropped before [`Transaction::commit`] it is rolled
/// back; dropped while a statement is under way, that is cancelled.
pub struct Transaction {
    session: Session,
    /// Why the server takes nothing more until it is rolled back.
    failed: Option<Error>,
}

// === impl Pool ===

impl Pool {
    /// Begins a transaction.
    ///
    /// # Errors
    /// No connection, or what PostgreSQL said.
    pub async fn begin(&self, options: TransactionOptions) -> Result<Transaction, Error> {
        let mut session = self.checkout(options.access).await?;
        self.counted();
        begin(&mut session, options, self).await?;
        Ok(Transaction { session, failed: None })
    }

    /// Runs `work`, which begins and commits a transaction, again after a serialization failure or
    /// a deadlock, as often as [`Config::retries`](crate::Config::retries) says, with a pause that
    /// grows and is drawn at random.
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
                Err(error) if error.is_transient() && attempt < self.0.database.0.config.retries => {
                    self.retried();
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
    /// The rows of a statement, which is prepared once for each connection; behind a pooler, each
    /// time. It stays prepared as long as the connection lives, so what varies belongs in `params`,
    /// not in the text.
    ///
    /// # Errors
    /// What PostgreSQL said.
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

    /// How many rows a statement changed.
    ///
    /// # Errors
    /// What PostgreSQL said.
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

    /// Commits. When it gives an error that is not PostgreSQL's own, nobody knows whether it was.
    /// Where a statement failed before, and no savepoint was gone back to since, all is rolled back
    /// and that is the error.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn commit(mut self) -> Result<(), Error> {
        if let Some(error) = self.failed.take() {
            // PostgreSQL would roll back at `COMMIT` as well, and not call it an error.
            end(&mut self.session, "ROLLBACK").await?;
            return Err(error);
        }
        end(&mut self.session, "COMMIT").await
    }

    /// Rolls back and waits for it; dropping it does so in the background.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn rollback(mut self) -> Result<(), Error> {
        end(&mut self.session, "ROLLBACK").await
    }

    /// Has the session cleaned afterwards if the statement may leave something in it.
    async fn note(&mut self, sql: &str) -> Result<(), Error> {
        let effects = Effects::of(sql);
        if self.failed.is_some() {
            // The server answers no question until the transaction is rolled back.
            if effects.is_dirty() || !effects.calls.is_empty() {
                self.session.touch();
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

/// The parameters with their types, for a statement without a name: one with a name would outlive
/// the transaction in a pooler's session as long as any of its rows.
async fn typed<'a>(
    object: &Object,
    sql: &str,
    params: &[&'a (dyn ToSql + Sync)],
) -> Result<Vec<(&'a (dyn ToSql + Sync), Type)>, tokio_postgres::Error> {
    let asked = object.prepare(sql).await?;
    Ok(params.iter().copied().zip(asked.params().iter().cloned()).collect())
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

/// Begins a transaction with the settings of a query, in one round trip. A statement may follow
/// only when both are done.
pub(super) async fn begin_for(
    session: &mut Session,
    query: &Declared,
    values: Option<&Values>,
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
        let (begun, set) = join(client.batch_execute(&sql), pipeline::set(client, settings, values)).await;
        begun?;
        set
    };
    let result = Session::within(limit, both).await;
    session.done(true, &result);
    result
}

fn begin_with_limits(options: TransactionOptions, pool: &Pool) -> String {
    let mut sql = begin_sql(options.access, options.isolation);
    if let Some(limits) = limits(&pool.0.database.0.config) {
        sql.push_str("; ");
        sql.push_str(&limits);
    }
    sql
}

/// What a transaction has to be told of the limits: behind a pooler nothing was set when the
/// session began.
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

async fn command(session: &mut Session, sql: &str, in_transaction: bool) -> Result<(), Error> {
    let limit = session.limit();
    session.busy();
    let run = async { Ok(session.object()?.batch_execute(sql).await?) };
    let result = Session::within(limit, run).await;
    session.done(in_transaction, &result);
    result
}

/// From 0 to 5, 10, 20, … ms, so that those who met do not meet again.
pub(super) async fn pause(attempt: u32) {
    let most = Duration::from_millis(5 << attempt.min(6));
    tokio::time::sleep(most.mul_f64(fastrand::f64())).await;
}
