//! Settings at the beginning of a transaction, and reads with settings in one round trip.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use deadpool_postgres::Object;
use futures_util::future::{join3, maybe_done};
use tokio_postgres::GenericClient;
use tokio_postgres::types::{ToSql, Type};

use super::Pool;
use super::own::{answer, execute, weigh};
use super::read::{Answer, Whole};
use super::transaction::begin_sql;
use crate::database::Declared;
use crate::error::Error;
use crate::json::Format;
use crate::param::Param;
use crate::settings::{Settings, Values};

// === impl Pool ===

impl Pool {
    /// A read of one statement with settings, as a transaction. A list that is too large to be held
    /// in memory is read again, as a stream.
    pub(super) async fn read_with_settings(
        &self,
        query: &Arc<Declared>,
        params: &[Param],
        format: Format,
    ) -> Result<Answer, Error> {
        let values = query.setting_values(params)?;
        let mut session = self.checkout_for(query).await?;
        let begun = Instant::now();
        let limit = self.0.database.0.config.stream_from;
        let statement = &query.statements()[0];
        let whole = execute(&mut session, query, statement, params, (format, limit), false, values.as_ref()).await?;
        if matches!(whole, Whole::Large) {
            query.keep_apart();
            // The rest of the rows is still to come.
            session.discard();
            return self.stream(query, params, format).await;
        }
        weigh(query, begun, false);
        Ok(answer(whole))
    }
}

/// Sets the settings of the open transaction.
pub(crate) async fn set(client: &impl GenericClient, settings: &Settings, values: &Values) -> Result<(), Error> {
    let params: Vec<(&(dyn ToSql + Sync), Type)> =
        values.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect();
    match client.query_typed(&settings.sql, &params).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::settings(error)),
    }
}

/// Runs a read in a transaction with settings. All of it is sent before the first answer is waited
/// for, so that it takes one round trip.
///
/// If the transaction does not begin, the statement runs without the settings all the same. So its
/// answer counts only if the transaction has begun and the settings are set. That is why writes
/// wait for both.
pub(super) async fn within_transaction(
    object: &Object,
    query: &Declared,
    values: &Values,
    rows: impl Future<Output = Result<Whole, Error>>,
) -> Result<Whole, Error> {
    let Some(settings) = &query.settings else { return rows.await };
    let begin = begin_sql(query.access, query.isolation);
    let client: &tokio_postgres::Client = object;
    // Each is sent when it is polled first, in this order.
    let mut first = pin!(join3(client.batch_execute(&begin), set(client, settings, values), rows));
    let mut commit = pin!(maybe_done(client.batch_execute("COMMIT")));
    let (begun, set, rows) = poll_fn(|cx| {
        let polled = first.as_mut().poll(cx);
        let _ = commit.as_mut().poll(cx);
        polled
    })
    .await;
    let result = begun.map_err(Error::from).and(set).and(rows);
    if matches!(result, Ok(Whole::Large)) {
        return result;
    }
    commit.as_mut().await;
    match commit.take_output() {
        Some(Ok(())) => result,
        // Only a closed connection is sure to be in no transaction.
        _ => result.and(Err(Error::Unreachable("a transaction did not end".into()))),
    }
}
