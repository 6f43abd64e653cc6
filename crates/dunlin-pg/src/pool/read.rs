//! Runs a declared query: on a shared connection where it can be, else on one of its own.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use dunlin_http::Body;
use futures_util::StreamExt;
use smallvec::SmallVec;
use tokio_postgres::RowStream;
use tokio_postgres::types::Type;

use super::Pool;
use super::flights::{Flight, Key};
use super::link::Link;
use super::own::MIGRATIONS;
use crate::database::Declared;
use crate::error::{Error, is_about_a_name, is_about_a_value, reason};
use crate::json::{Column, Format, write_row};
use crate::param::{self, Bound, Param};
use crate::query::{Access, Rows, Statement};

/// What a query answers.
#[derive(Debug)]
pub enum Answer {
    /// One object, or all rows in the format that was asked for.
    Rows(Bytes),
    /// No row, where one was asked for.
    None,
    /// The last statement has no columns; so many rows it changed.
    Changed(u64),
    /// Rows as they come. When they break off the body fails, so that a client sees that some are
    /// missing.
    Stream(Body),
}

/// An answer that several may have.
#[derive(Clone)]
pub(super) enum Whole {
    Rows(Bytes),
    None,
    Changed(u64),
    /// Too much to be held in memory: each asker reads it by itself.
    Large,
    /// The statement may leave something in its session: each asker has a connection of its own.
    Apart,
}

pub(super) type Binding = SmallVec<[Bound; 2]>;

// === impl Pool ===

impl Pool {
    /// Runs a query with its parameters, in the order of [`Query::params`](crate::Query::params).
    /// Behind them come the values of [`Query::settings`](crate::Query::settings) and of
    /// [`Query::role`](crate::Query::role).
    /// `format` is for [`Rows::Many`]; one row is always JSON.
    ///
    /// ```
    /// # use dunlin_pg::{Answer, Config, Database, Query, Source, json::Format};
    /// # let postgres = dunlin_testkit::Postgres::start();
    /// # let url = postgres.url();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let database = Database::new(Config::new(url))?;
    /// let params = vec![Source::named("to")];
    /// let query = database.declare(Query { params, ..Query::new(["SELECT n FROM generate_series(1, $1::int) n"]) })?;
    /// let pool = database.pool();
    /// let Answer::Rows(json) = pool.run(&query, &["3".into()], Format::Json).await? else { panic!("it has columns") };
    /// assert_eq!(json, r#"[{"n":1},{"n":2},{"n":3}]"#);
    /// assert!(pool.run(&query, &[], Format::Json).await.is_err(), "$1 was not given");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A parameter that does not fit, or that is missing; what PostgreSQL said; no connection.
    pub async fn run(&self, query: &Arc<Declared>, params: &[Param], format: Format) -> Result<Answer, Error> {
        if let Some(missing) = query.sources().nth(params.len()) {
            return Err(Error::Parameter { name: missing.shared_name().clone(), reason: "it was not given".into() });
        }
        let Some(slot) = query.slot.filter(|_| self.0.lanes.wanted() > 0 && !self.touches_session(query)) else {
            return Box::pin(self.own(query, params, format)).await;
        };
        if query.is_heavy() {
            return Box::pin(self.own(query, params, format)).await;
        }
        let whole = if query.share {
            let key = key(query, params, format);
            match self.0.flights.enter(&key).await {
                Flight::Read(turn) => {
                    let whole = self.shared(query, slot, params, format).await;
                    turn.done(&whole);
                    whole
                }
                Flight::Joined(whole) => {
                    self.0.counters.joined.fetch_add(1, Ordering::Relaxed);
                    whole
                }
            }
        } else {
            self.shared(query, slot, params, format).await
        };
        match whole {
            Ok(Whole::Rows(bytes)) => Ok(Answer::Rows(bytes)),
            Ok(Whole::None) => Ok(Answer::None),
            Ok(Whole::Changed(count)) => Ok(Answer::Changed(count)),
            Ok(whole @ (Whole::Large | Whole::Apart)) => {
                if matches!(whole, Whole::Large) {
                    query.keep_apart();
                }
                Box::pin(self.own(query, params, format)).await
            }
            // It can only read, so it may be asked again: alone, since the loss may have been its
            // own doing. Without a transaction it loses only against a standby that has to go on,
            // which cancels what reads there for too long.
            Err(error) if error.is_lost() || error.is_transient() => {
                self.retried();
                Box::pin(self.own(query, params, format)).await
            }
            Err(error) => Err(error),
        }
    }

    /// A read on a shared connection: one write, one answer, whatever else is under way there.
    async fn shared(&self, query: &Declared, slot: usize, params: &[Param], format: Format) -> Result<Whole, Error> {
        let link = match self.0.lanes.pick() {
            Some(link) => link,
            None => Box::pin(self.wait_for_link()).await?,
        };
        let functions = &self.0.database.0.functions;
        if functions.is_any_volatile(&query.effects.calls).is_none() {
            // It was declared after the connection was opened.
            Box::pin(link.look_up(functions)).await?;
        }
        if self.touches_session(query) {
            return Ok(Whole::Apart);
        }
        let statement = &query.statements()[0];
        let mut healed = 0;
        loop {
            // What is rare is boxed, so that the future of a read stays small.
            let plan = match link.plan(slot) {
                Some(plan) => plan,
                None => Box::pin(link.prepare(slot, &statement.sql)).await?,
            };
            let bound = match bind(query, statement, plan.statement.params(), params) {
                Err(_) if plan.may_be_old() => {
                    link.forget(slot, &plan);
                    continue;
                }
                bound => bound?,
            };
            let result = self.ask(&link, query, &plan.statement, &plan.columns, &bound, format).await;
            match result {
                Err(error) if healed < MIGRATIONS && query.is_stale(&error) => {
                    link.forget(slot, &plan);
                    self.retried();
                    healed = if error.is_about_a_name() { MIGRATIONS } else { healed + 1 };
                }
                Err(error) => return Err(blame(error, query, statement)),
                Ok(whole) => return Ok(whole),
            }
        }
    }

    async fn ask(
        &self,
        link: &Link,
        query: &Declared,
        statement: &tokio_postgres::Statement,
        columns: &[Column],
        bound: &[Bound],
        format: Format,
    ) -> Result<Whole, Error> {
        let waiting = link.wait();
        self.counted();
        let limit = self.0.database.0.config.stream_from;
        let result = match link.client.query_raw(statement, bound).await {
            Ok(rows) => collect(rows, Some(columns), query.rows, format, limit).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &result {
            self.0.counters.failed(error);
        }
        match &result {
            // The rest of a large answer is still to come.
            Ok(Whole::Large) => {}
            Err(error) if error.as_db_error().is_none() => {}
            _ => waiting.answered(),
        }
        result
    }

    async fn wait_for_link(&self) -> Result<Arc<Link>, Error> {
        let connector = self.0.database.connector(Access::Read);
        let failed = |error: Error| {
            self.0.counters.failed(&error);
            error
        };
        if let Some(error) = connector.refused() {
            return Err(failed(error));
        }
        let wait = self.0.database.0.config.acquire_timeout;
        tokio::time::timeout(wait, self.0.lanes.wait()).await.map_err(|_| match connector.trouble() {
            Some(reason) => failed(Error::Unreachable(reason)),
            None => Error::Exhausted,
        })
    }

    pub(super) fn retried(&self) {
        self.0.counters.retried.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads all rows to the server's last word, so that an error after the first one is not missed.
///
/// `columns` are those of the statement; without them, those of the first row. Then an answer
/// without a row is [`Whole::Changed`], whether or not the statement has columns: nothing here can
/// tell.
pub(super) async fn collect(
    rows: RowStream,
    columns: Option<&[Column]>,
    want: Rows,
    format: Format,
    limit: usize,
) -> Result<Whole, Error> {
    let mut rows = pin!(rows);
    let mut out = Vec::with_capacity(256);
    let mut described: Option<Box<[Column]>> = None;
    let mut first = true;
    while let Some(row) = rows.next().await {
        let row = row?;
        let columns = match columns {
            Some(columns) => columns,
            None => {
                if described.is_none() {
                    described = Some(Column::all(row.columns())?);
                }
                described.as_deref().unwrap_or_default()
            }
        };
        match want {
            Rows::One if first => write_row(&mut out, columns, &row)?,
            Rows::One => {}
            Rows::Many => {
                if first {
                    format.begin(columns, &mut out);
                }
                format.row(columns, &row, first, &mut out)?;
                if out.len() > limit {
                    return Ok(Whole::Large);
                }
            }
        }
        first = false;
    }
    if first {
        let changed = rows.rows_affected().unwrap_or_default();
        return Ok(empty(columns.unwrap_or_default(), changed, want, format));
    }
    if want == Rows::Many {
        format.end(&mut out);
    }
    Ok(Whole::Rows(out.into()))
}

/// The answer of a statement that gave no row.
pub(super) fn empty(columns: &[Column], changed: u64, want: Rows, format: Format) -> Whole {
    if columns.is_empty() {
        return Whole::Changed(changed);
    }
    match want {
        Rows::One => Whole::None,
        Rows::Many => {
            let mut out = Vec::new();
            format.begin(columns, &mut out);
            format.end(&mut out);
            Whole::Rows(out.into())
        }
    }
}

/// The parameters of one statement, typed as it wants them.
pub(super) fn bind(
    query: &Declared,
    statement: &Statement,
    types: &[Type],
    params: &[Param],
) -> Result<Binding, Error> {
    let of = |(ty, &index): (&Type, &usize)| {
        param::bind(ty, params.get(index).unwrap_or(&Param::Null))
            .map_err(|error| Error::parameter(query.params[index].shared_name(), &error))
    };
    types.iter().zip(&statement.uses).map(of).collect()
}

/// Names the parameter that the server could not read, if it is one. Any other error about a value
/// is the client's if the statement has parameters at all: then the client gets the reason, but not
/// PostgreSQL's text, which may have a stored value in it.
pub(super) fn blame(error: Error, query: &Declared, statement: &Statement) -> Error {
    let Error::Database(database) = &error else { return error };
    let Some(reported) = database.as_db_error() else { return error };
    if let Some(at) = param::blamed(database)
        && let Some(source) = statement.uses.get(at).and_then(|&index| query.params.get(index))
    {
        // An internal error's text is none for a client.
        let reason = if reported.code().code().starts_with("XX") { reason(reported) } else { reported.message() };
        return Error::Parameter { name: source.shared_name().clone(), reason: reason.into() };
    }
    if !statement.uses.is_empty() && (is_about_a_value(reported) || is_about_a_name(reported)) {
        return Error::Value { reason: reason(reported), cause: database.clone() };
    }
    error
}

/// What makes two reads the same: the query, the format, the parameters to the byte.
fn key(query: &Arc<Declared>, params: &[Param], format: Format) -> Key {
    let mut key = SmallVec::new();
    key.push(format as u8);
    let text = |key: &mut SmallVec<_>, tag: u8, text: &str| {
        key.push(tag);
        key.extend_from_slice(&text.len().to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    };
    for param in params {
        match param {
            Param::Null => key.push(0),
            Param::Text(value) => text(&mut key, 1, value),
            Param::Json(value) => text(&mut key, 2, value.as_str()),
            Param::Many(values) => {
                key.push(3);
                key.extend_from_slice(&values.len().to_le_bytes());
                values.iter().for_each(|value| text(&mut key, 1, value));
            }
        }
    }
    (Arc::as_ptr(query).addr(), key)
}
