//! Writes that depend on the current answer of another query.

use std::sync::Arc;

use super::answer::{Answer, Collected};
use super::call::Call;
use super::dedicated::MAX_HELD;
use super::retries::Retries;
use super::session::Session;
use super::transaction::{self, TransactionOptions};
use super::{Pool, execute};
use crate::declared::Declared;
use crate::error::Error;
use crate::json::Format;
use crate::param::Param;
use crate::query::{Access, Isolation};

/// A condition of a write about the current answer of a query.
pub(crate) struct Condition<'a> {
    pub(crate) query: &'a Arc<Declared>,
    pub(crate) params: &'a [Param],
    pub(crate) format: Format,
    /// Returns `true` if the write may go on after this answer.
    pub(crate) holds: &'a (dyn Fn(&Answer) -> bool + Sync),
}

// === impl Pool ===

impl Pool {
    /// Runs a write if the condition holds, in the same transaction. Returns `None` if it does not.
    ///
    /// The transaction is serializable: another one that changes what the condition has seen makes
    /// one of the two fail, and then this one runs again.
    pub(crate) async fn run_if(
        &self,
        query: &Arc<Declared>,
        params: &[Param],
        format: Format,
        condition: &Condition<'_>,
    ) -> Result<Option<Answer>, Error> {
        let call = Call { query, params, format, page: None };
        let mut retries = Retries::default();
        loop {
            let error = match self.try_if(call, condition).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !retries.again(self, Access::Write, &error).await {
                return Err(error.of_write());
            }
            self.count_retry();
        }
    }

    async fn try_if(&self, call: Call<'_>, condition: &Condition<'_>) -> Result<Option<Answer>, Error> {
        let &Condition { query, params, format, holds } = condition;
        let mut session = self.checkout(Access::Write).await?;
        session.note(&call.query.effects, false).await?;
        session.note(&query.effects, false).await?;
        self.count_query();
        let options = TransactionOptions { access: Access::Write, isolation: Some(Isolation::Serializable) };
        transaction::begin(&mut session, options, self).await?;
        // The settings of the read end with the savepoint. What it has read still counts for the
        // isolation of the transaction.
        transaction::command(&mut session, "SAVEPOINT condition", true).await?;
        let answer = self.run_all(&mut session, Call { query, params, format, page: None }).await?;
        if !holds(&answer.into()) {
            transaction::end(&mut session, "ROLLBACK").await?;
            return Ok(None);
        }
        transaction::command(&mut session, "ROLLBACK TO SAVEPOINT condition", true).await?;
        let answer = self.run_all(&mut session, call).await?;
        transaction::end(&mut session, "COMMIT").await?;
        Ok(Some(answer.into()))
    }

    /// Runs all statements of a query in the open transaction, after its settings.
    async fn run_all(&self, session: &mut Session, call: Call<'_>) -> Result<Collected, Error> {
        if let (Some(settings), Some(values)) = (&call.query.settings, call.query.setting_values(call.params)?) {
            let limit = session.limit();
            session.busy();
            let set = async {
                let client: &tokio_postgres::Client = session.object()?;
                settings.set(client, &values).await
            };
            let result = Session::within(limit, set).await;
            session.done(true, &result);
            result?;
        }
        let mut collected = Collected::None;
        for statement in call.query.statements() {
            collected = if self.is_pooled() {
                execute::execute_unnamed(session, call, statement, MAX_HELD).await?
            } else {
                let execution = execute::Execution { limit: MAX_HELD, in_transaction: true, settings: None };
                execute::execute(session, call, statement, execution).await?
            };
            if matches!(collected, Collected::TooLarge) {
                session.busy();
                return Err(Error::TooLarge(MAX_HELD));
            }
        }
        Ok(collected)
    }
}
