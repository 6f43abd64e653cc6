//! Runs declared queries: on a shared connection if possible, otherwise on a dedicated one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Pool;
use super::answer::{Answer, Collected, collect};
use super::binding::{bind, blame};
use super::call::Call;
use super::flights::Flight;
use super::retries::PREPARED;
use super::shared::{Plan, SharedConnection};
use crate::declared::Declared;
use crate::error::Error;
use crate::json::Format;
use crate::param::{Bound, Param};
use crate::query::Access;

// === impl Pool ===

impl Pool {
    /// Runs a query with its parameters, in the order of [`Query::params`](crate::Query::params).
    /// The values of [`Query::settings`](crate::Query::settings) and of
    /// [`Query::role`](crate::Query::role) follow them. `format` is for
    /// [`Rows::Many`](crate::Rows::Many); one row is always JSON.
    ///
    /// ```
    /// # use dunlin_pg::{Answer, Config, Database, Query, Source, json::Format};
    /// # let postgres = dunlin_testkit::Postgres::start();
    /// # let url = postgres.url();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let database = Database::new(Config::new(url))?;
    /// let query = database.declare(Query {
    ///     params: vec![Source::named("to")],
    ///     ..Query::new(["SELECT n FROM generate_series(1, $1::int) n"])
    /// })?;
    /// let pool = database.pool();
    /// let answer = pool.run(&query, &["3".into()], Format::Json).await?;
    /// let Answer::Rows(json) = answer else { panic!("it has columns") };
    /// assert_eq!(json, r#"[{"n":1},{"n":2},{"n":3}]"#);
    /// assert!(pool.run(&query, &[], Format::Json).await.is_err(), "$1 is missing");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A parameter that is missing or not valid, an error that PostgreSQL reported, or no
    /// connection.
    pub async fn run(&self, query: &Arc<Declared>, params: &[Param], format: Format) -> Result<Answer, Error> {
        self.run_page(query, params, format, None).await
    }

    /// As [`Pool::run`], for a page of so many rows. The parameter of the limit is one more.
    pub(crate) async fn run_page(
        &self,
        query: &Arc<Declared>,
        params: &[Param],
        format: Format,
        page: Option<usize>,
    ) -> Result<Answer, Error> {
        if let Some(missing) = query.sources().get(params.len()) {
            return Err(Error::Parameter { name: missing.shared_name().clone(), reason: "it was not given".into() });
        }
        let call = Call { query, params, format, page };
        let Some(slot) = query.slot.filter(|_| self.0.shared.limit() > 0 && !self.touches_session(query)) else {
            return Box::pin(self.run_dedicated(call)).await;
        };
        if query.takes_dedicated() {
            return Box::pin(self.run_dedicated(call)).await;
        }
        let collected = if query.share {
            let key = call.key();
            match self.0.flights.enter(&key).await {
                Flight::Read(turn) => {
                    let collected = self.run_shared(call, slot).await;
                    turn.done(&collected);
                    collected
                }
                Flight::Joined(collected) => {
                    self.0.counters.joined.fetch_add(1, Ordering::Relaxed);
                    collected
                }
            }
        } else {
            self.run_shared(call, slot).await
        };
        match collected {
            Ok(Collected::TooLarge) => {
                query.prefer_dedicated();
                Box::pin(self.run_dedicated(call)).await
            }
            Ok(Collected::NeedsDedicated) => Box::pin(self.run_dedicated(call)).await,
            Ok(collected) => Ok(collected.into()),
            // A read may be sent again. It gets a dedicated connection, because it may be the cause
            // of the loss. Only a standby that replays the log reports a conflict here.
            Err(error) if error.is_lost() || error.is_transient() => {
                self.count_retry();
                Box::pin(self.run_dedicated(call)).await
            }
            Err(error) => Err(error),
        }
    }

    /// Runs a read on a shared connection: one message there, one answer back.
    async fn run_shared(&self, call: Call<'_>, slot: usize) -> Result<Collected, Error> {
        let Call { query, params, .. } = call;
        let connection = match self.0.shared.pick() {
            Some(connection) => connection,
            None => Box::pin(self.wait_for_shared()).await?,
        };
        let functions = &self.0.database.0.functions;
        if functions.is_any_volatile(&query.effects.calls).is_none() {
            // The query was declared after the connection was opened.
            Box::pin(connection.look_up(functions)).await?;
        }
        if self.touches_session(query) {
            return Ok(Collected::NeedsDedicated);
        }
        let statement = &query.statements()[0];
        let mut prepared = 0;
        loop {
            // The rare case is boxed, so that the future of a read stays small.
            let plan = match connection.plan(slot) {
                Some(plan) => plan,
                None => Box::pin(connection.prepare(slot, &statement.sql)).await?,
            };
            let bound = match bind(query, statement, plan.statement.params(), params) {
                Err(_) if plan.may_be_old() => {
                    connection.forget(slot, &plan);
                    continue;
                }
                bound => bound?,
            };
            match self.send_shared(&connection, call, &plan, &bound).await {
                Err(error) if prepared < PREPARED && query.is_stale(&error) => {
                    connection.forget(slot, &plan);
                    self.count_retry();
                    prepared = if error.is_about_a_name() { PREPARED } else { prepared + 1 };
                }
                Err(error) => return Err(blame(error, query, statement)),
                Ok(collected) => return Ok(collected),
            }
        }
    }

    async fn send_shared(
        &self,
        connection: &SharedConnection,
        call: Call<'_>,
        plan: &Plan,
        bound: &[Bound],
    ) -> Result<Collected, Error> {
        let pending = connection.begin();
        self.count_query();
        let limit = self.config().stream_from;
        let result = match connection.client.query_raw(&plan.statement, bound).await {
            Ok(rows) => collect(rows, Some(&plan.columns), call, limit).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &result {
            self.0.counters.failed(error);
        }
        match &result {
            // The rest of a large answer is still to come.
            Ok(Collected::TooLarge) => {}
            Err(error) if error.as_db_error().is_none() => {}
            _ => pending.answered(),
        }
        result
    }

    async fn wait_for_shared(&self) -> Result<Arc<SharedConnection>, Error> {
        let connector = self.0.database.connector(Access::Read);
        if let Some(error) = connector.backing_off() {
            return Err(self.failed(error));
        }
        let limit = self.config().acquire_timeout;
        tokio::time::timeout(limit, self.0.shared.wait()).await.map_err(|_| match connector.last_failure() {
            Some(reason) => self.failed(Error::Unreachable(reason)),
            None => Error::Exhausted,
        })
    }
}
