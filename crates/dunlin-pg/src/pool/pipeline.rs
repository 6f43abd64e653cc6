//! Reads with settings in one round trip.

use std::future::{Future, poll_fn};
use std::pin::pin;

use deadpool_postgres::Object;
use futures_util::future::{join3, maybe_done};

use super::answer::Collected;
use super::transaction::begin_sql;
use crate::declared::Declared;
use crate::error::Error;
use crate::query::{SettingValues, Settings};

/// Runs a read in a transaction with settings. Everything is sent before the first answer is
/// awaited, so that it takes one round trip.
///
/// If the transaction does not begin, the statement still runs, but without the settings. So its
/// answer counts only if the transaction has begun and the settings are set. Writes wait for both
/// before the statement is sent.
pub(super) async fn within_transaction(
    object: &Object,
    query: &Declared,
    values: &SettingValues,
    rows: impl Future<Output = Result<Collected, Error>>,
) -> Result<Collected, Error> {
    let Some(settings) = &query.settings else { return rows.await };
    let begin = begin_sql(query.access, query.isolation);
    let statement = object.prepare_cached(settings.sql()).await?;
    let client: &tokio_postgres::Client = object;
    // Each is sent when it is first polled, in this order.
    let set = Settings::set_prepared(client, &statement, values);
    let mut first = pin!(join3(client.batch_execute(&begin), set, rows));
    let mut commit = pin!(maybe_done(client.batch_execute("COMMIT")));
    let (begun, set, rows) = poll_fn(|cx| {
        let polled = first.as_mut().poll(cx);
        let _ = commit.as_mut().poll(cx);
        polled
    })
    .await;
    let result = begun.map_err(Error::from).and(set).and(rows);
    if matches!(result, Ok(Collected::TooLarge)) {
        return result;
    }
    commit.as_mut().await;
    match commit.take_output() {
        Some(Ok(())) => result,
        // The connection is closed then, because it may still be in a transaction.
        _ => result.and(Err(Error::Unreachable("a transaction did not end".into()))),
    }
}
