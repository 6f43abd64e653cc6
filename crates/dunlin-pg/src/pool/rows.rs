//! Typed rows without a transaction.

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use super::Pool;
use super::session::Session;
use super::transaction::TransactionOptions;
use crate::error::Error;
use crate::query::Access;
use crate::sql::Effects;

/// A value that is made of the columns of a row. Tuples take them by their order.
///
/// ```
/// use dunlin_pg::{FromRow, Row, tokio_postgres};
///
/// struct User {
///     id: i64,
///     name: Option<String>,
/// }
///
/// impl FromRow for User {
///     fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
///         Ok(Self { id: row.try_get("id")?, name: row.try_get("name")? })
///     }
/// }
/// ```
pub trait FromRow: Sized {
    /// Reads a row.
    ///
    /// # Errors
    /// A column that is missing, or has another type.
    fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error>;
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: for<'r> FromSql<'r>),*> FromRow for ($($name,)*) {
            fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
                Ok(($(row.try_get::<_, $name>($index)?,)*))
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);

// === impl Pool ===

impl Pool {
    /// Reads rows with one statement, on a dedicated connection whose session is read-only.
    ///
    /// The statement is prepared once for each connection and stays prepared, so what varies
    /// belongs in `params`. A declared query ([`Pool::run`]) shares connections and costs less.
    ///
    /// ```
    /// # use dunlin_pg::{Config, Database};
    /// # let postgres = dunlin_testkit::Postgres::start();
    /// # let url = postgres.url();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let pool = Database::new(Config::new(url))?.pool();
    /// let sql = "SELECT n, n::text AS digits FROM generate_series(1, $1) n";
    /// let rows = pool.query(sql, &[&3]).await?;
    /// let last: (i32, String) = (rows[2].get("n"), rows[2].get("digits"));
    /// assert_eq!(last, (3, "3".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// No connection, or the error that PostgreSQL reported.
    pub async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let mut is_retry = false;
        loop {
            let result = self.query_once(sql, params).await;
            let Err(error) = &result else { return result };
            // A read may be sent again.
            if is_retry || !(error.is_lost() || error.is_stale_plan() || error.is_transient()) {
                return result;
            }
            is_retry = true;
            self.count_retry();
        }
    }

    /// Reads rows as [`Pool::query`] does, each as a `T`.
    ///
    /// # Errors
    /// As [`Pool::query`], or a row that is no `T`.
    pub async fn query_as<T: FromRow>(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<T>, Error> {
        let rows = self.query(sql, params).await?;
        rows.iter().map(|row| T::from_row(row).map_err(Error::from)).collect()
    }

    /// Runs one statement on a dedicated connection of the primary, and returns the number of rows
    /// that it changed. It is a transaction by itself. For the rows of a `RETURNING`, see
    /// [`Pool::begin`].
    ///
    /// # Errors
    /// No connection, or the error that PostgreSQL reported.
    pub async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        if self.is_pooled() {
            let options = TransactionOptions { access: Access::Write, isolation: None };
            let mut transaction = self.begin(options).await?;
            let changed = transaction.execute(sql, params).await?;
            return transaction.commit().await.map(|()| changed);
        }
        let mut session = self.session_for(Access::Write, sql).await?;
        let run = async {
            let object = session.object()?;
            let statement = object.prepare_cached(sql).await?;
            Ok(object.execute(&statement, params).await?)
        };
        let result = Session::within(session.limit(), run).await;
        finish(&mut session, sql, &result);
        result.map_err(Error::of_write)
    }

    async fn query_once(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        if self.is_pooled() {
            let mut transaction = self.begin(TransactionOptions::default()).await?;
            let rows = transaction.query(sql, params).await?;
            return transaction.commit().await.map(|()| rows);
        }
        let mut session = self.session_for(Access::Read, sql).await?;
        let run = async {
            let object = session.object()?;
            let statement = object.prepare_cached(sql).await?;
            Ok(object.query(&statement, params).await?)
        };
        let result = Session::within(session.limit(), run).await;
        finish(&mut session, sql, &result);
        result
    }

    /// A session that is busy with the statement.
    async fn session_for(&self, access: Access, sql: &str) -> Result<Session, Error> {
        let mut session = self.checkout(access).await?;
        session.note(&Effects::of(sql), false).await?;
        self.count_query();
        session.busy();
        Ok(session)
    }
}

fn finish<T>(session: &mut Session, sql: &str, result: &Result<T, Error>) {
    session.done(false, result);
    if result.as_ref().is_err_and(Error::is_stale_plan) {
        session.forget(sql);
    }
}
