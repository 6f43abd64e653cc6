//! Queries on dedicated connections: writes, transactions, and reads that are too large or too slow
//! for a shared connection.

use std::time::Instant;

use super::Pool;
use super::answer::{Answer, Collected};
use super::call::Call;
use super::execute::{Execution, execute, execute_unnamed};
use super::retries::Retries;
use super::session::Session;
use super::transaction;
use crate::error::Error;
use crate::query::{Access, Rows};

/// The limit of an answer that cannot be streamed, in bytes. A write is one, because only its end
/// tells whether it succeeded.
pub(super) const MAX_HELD: usize = 64 << 20;

// === impl Pool ===

impl Pool {
    /// Runs a query on a dedicated connection, again if that is safe and may help.
    pub(super) async fn run_dedicated(&self, call: Call<'_>) -> Result<Answer, Error> {
        let query = call.query;
        let is_one = query.statements().len() == 1 && !self.is_pooled();
        let is_plain = is_one && query.isolation.is_none() && query.settings.is_none();
        // A page is held, because its links stand before its rows.
        let reads_many = query.access == Access::Read && query.rows == Rows::Many && query.page.is_none();
        let mut retries = Retries::default();
        loop {
            let result = if reads_many && (is_plain || query.takes_dedicated()) {
                self.stream(call).await
            } else if is_plain {
                self.run_statement(call).await
            } else if is_one && query.settings.is_some() && query.access == Access::Read {
                self.read_with_settings(call).await
            } else {
                self.run_transaction(call).await
            };
            let Err(error) = result else { return result };
            if !retries.again(self, query.access, &error).await {
                return Err(if query.access == Access::Write { error.of_write() } else { error });
            }
            self.count_retry();
        }
    }

    /// Runs one statement, which is a transaction by itself.
    async fn run_statement(&self, call: Call<'_>) -> Result<Answer, Error> {
        let query = call.query;
        let mut session = self.checkout_for(query).await?;
        let started = Instant::now();
        let execution = Execution { limit: MAX_HELD, in_transaction: false, settings: None };
        let collected = execute(&mut session, call, &query.statements()[0], execution).await?;
        if matches!(collected, Collected::TooLarge) {
            return Err(too_large(session));
        }
        query.note_cost(started, false);
        Ok(collected.into())
    }

    /// Runs a read of one statement with settings, as a transaction. A list that is too large for
    /// memory is read again, as a stream.
    async fn read_with_settings(&self, call: Call<'_>) -> Result<Answer, Error> {
        let query = call.query;
        let values = query.setting_values(call.params)?;
        let mut session = self.checkout_for(query).await?;
        let streams = query.page.is_none();
        let limit = if streams { self.config().stream_from } else { MAX_HELD };
        let execution = Execution { limit, in_transaction: false, settings: values.as_ref() };
        let collected = execute(&mut session, call, &query.statements()[0], execution).await?;
        if matches!(collected, Collected::TooLarge) {
            return if streams { self.stream_instead(session, call).await } else { Err(too_large(session)) };
        }
        Ok(collected.into())
    }

    /// Runs statements in one transaction. The last one answers. A list that is too large for
    /// memory is read again, as a stream.
    async fn run_transaction(&self, call: Call<'_>) -> Result<Answer, Error> {
        let query = call.query;
        let values = query.setting_values(call.params)?;
        let mut session = self.checkout_for(query).await?;
        transaction::begin_for(&mut session, query, values.as_ref(), self).await?;
        let streams = query.access == Access::Read && query.rows == Rows::Many && query.page.is_none();
        let limit = if streams { self.config().stream_from } else { MAX_HELD };
        let mut collected = Collected::None;
        for statement in query.statements() {
            collected = if self.is_pooled() {
                execute_unnamed(&mut session, call, statement, limit).await?
            } else {
                let execution = Execution { limit, in_transaction: true, settings: None };
                execute(&mut session, call, statement, execution).await?
            };
            if matches!(collected, Collected::TooLarge) {
                return if streams { self.stream_instead(session, call).await } else { Err(too_large(session)) };
            }
        }
        transaction::end(&mut session, "COMMIT").await?;
        Ok(collected.into())
    }

    async fn stream_instead(&self, session: Session, call: Call<'_>) -> Result<Answer, Error> {
        call.query.prefer_dedicated();
        // The connection is closed, because the rest of the rows is still to come.
        session.discard();
        self.stream(call).await
    }
}

/// The error of a write that returns too much. The drop of the session cancels the statement.
fn too_large(mut session: Session) -> Error {
    session.busy();
    Error::TooLarge(MAX_HELD)
}
