//! One statement on a dedicated connection, with its rows in memory.

use super::answer::{Collected, collect, empty};
use super::binding::{bind, blame};
use super::call::Call;
use super::pipeline::within_transaction;
use super::session::Session;
use crate::error::Error;
use crate::json::Column;
use crate::query::{Rows, SettingValues, Statement};

/// The circumstances of a statement.
#[derive(Clone, Copy)]
pub(super) struct Execution<'a> {
    /// The limit of the answer, in bytes.
    pub(super) limit: usize,
    /// `true` if the session is in a transaction.
    pub(super) in_transaction: bool,
    /// The values of settings. With them the statement is a transaction of its own.
    pub(super) settings: Option<&'a SettingValues>,
}

/// Runs a prepared statement. It is prepared again if a parameter is refused and a migration may
/// have changed its type.
pub(super) async fn execute(
    session: &mut Session,
    call: Call<'_>,
    statement: &Statement,
    execution: Execution<'_>,
) -> Result<Collected, Error> {
    let Call { query, params, .. } = call;
    let limit = session.limit();
    let (mut result, mut is_prepared);
    loop {
        session.busy();
        is_prepared = false;
        let run = async {
            let object = session.object()?;
            let prepared = object.prepare_cached(&statement.sql).await?;
            is_prepared = true;
            let columns = Column::all(prepared.columns())?;
            // A parameter is refused before anything is sent, so the session is as it was.
            let bound = match bind(query, statement, prepared.params(), params) {
                Ok(bound) => bound,
                Err(refused) => return Ok(Err(refused)),
            };
            let rows = async {
                let rows = object.query_raw(&prepared, bound).await?;
                collect(rows, Some(&columns), call, execution.limit).await
            };
            match execution.settings {
                Some(values) => within_transaction(object, query, values, rows).await.map(Ok),
                None => rows.await.map(Ok),
            }
        };
        result = Session::within(limit, run).await;
        session.done(execution.in_transaction, &result);
        if !(matches!(result, Ok(Err(_))) && query.take_recheck()) {
            break;
        }
        session.forget(&statement.sql);
    }
    match result {
        Ok(collected) => collected,
        Err(error) if query.is_stale(&error) => {
            session.forget(&statement.sql);
            Err(error)
        }
        // A statement that cannot be prepared is not the client's fault.
        Err(error) if !is_prepared => Err(error),
        Err(error) => Err(blame(error, query, statement)),
    }
}

/// Runs a statement without a name, in a transaction through a pooler. The server is asked once for
/// the types of its parameters.
pub(super) async fn execute_unnamed(
    session: &mut Session,
    call: Call<'_>,
    statement: &Statement,
    limit: usize,
) -> Result<Collected, Error> {
    let Call { query, params, format, .. } = call;
    let time = session.limit();
    let (mut result, mut is_prepared);
    loop {
        session.busy();
        is_prepared = false;
        let run = async {
            let object = session.object()?;
            let types = match statement.types() {
                Some(types) => types,
                None => statement.remember(object.prepare(&statement.sql).await?.params()),
            };
            is_prepared = true;
            // A parameter is refused before anything is sent, so the session is as it was.
            let bound = match bind(query, statement, &types, params) {
                Ok(bound) => bound,
                Err(refused) => return Ok(Err(refused)),
            };
            let typed = bound.into_iter().zip(types.iter().cloned());
            let rows = object.query_typed_raw(&statement.sql, typed).await?;
            let collected = collect(rows, None, call, limit).await?;
            if query.rows == Rows::One || !matches!(collected, Collected::Changed(0)) {
                return Ok(Ok(collected));
            }
            // No row came. The description tells an empty list from a statement without columns.
            let described = object.prepare(&statement.sql).await?;
            Ok(Ok(empty(&Column::all(described.columns())?, 0, query.rows, format)))
        };
        result = Session::within(time, run).await;
        session.done(true, &result);
        if !(matches!(result, Ok(Err(_))) && query.take_recheck()) {
            break;
        }
        statement.forget_types();
        session.forget(&statement.sql);
    }
    match result {
        Ok(collected) => collected,
        Err(error) if query.is_stale(&error) => {
            statement.forget_types();
            Err(error)
        }
        // A statement that cannot be prepared is not the client's fault.
        Err(error) if !is_prepared => Err(error),
        Err(error) => Err(blame(error, query, statement)),
    }
}
