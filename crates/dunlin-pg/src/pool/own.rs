//! Queries on a connection of their own: writes, transactions, and reads that are too much for a
//! shared one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Pool;
use super::pipeline::within_transaction;
use super::read::{Answer, Whole, bind, blame, collect, empty};
use super::session::Session;
use super::transaction;
use crate::database::Declared;
use crate::error::Error;
use crate::json::{Column, Format};
use crate::param::Param;
use crate::query::{Access, Rows, Statement};
use crate::settings::Values;

/// From how long a read takes it is kept away from the shared connections.
const SLOW: Duration = Duration::from_millis(100);

/// How often a read is asked again after its connection was lost.
const LOSSES: u32 = 3;

/// How many bytes of an answer are held that cannot be streamed: what a write returns, for only its
/// end tells that it was done.
const MOST: usize = 64 << 20;

/// How often a statement is prepared anew for one request.
pub(super) const MIGRATIONS: u32 = 3;

// === impl Pool ===

impl Pool {
    pub(super) async fn own(&self, query: &Arc<Declared>, params: &[Param], format: Format) -> Result<Answer, Error> {
        let pooled = self.is_pooled();
        let is_one = query.statements().len() == 1 && !pooled;
        let single = is_one && query.isolation.is_none() && query.settings.is_none();
        let pipelined = is_one && query.settings.is_some() && query.access == Access::Read;
        let mut tries = Tries::default();
        loop {
            let result = match (query.access, query.rows, single) {
                (Access::Read, Rows::Many, true) => self.stream(query, params, format).await,
                (Access::Read, Rows::Many, false) if query.is_heavy() => self.stream(query, params, format).await,
                _ if pipelined => self.read_with_settings(query, params, format).await,
                (_, _, true) => self.single(query, params, format).await,
                (_, _, false) => self.transact(query, params, format, pooled).await,
            };
            let Err(error) = result else { return result };
            if !tries.again(self, query.access, &error).await {
                return Err(error.for_access(query.access));
            }
            self.retried();
        }
    }

    /// A connection for this query, which is cleaned afterwards if the query asks for it.
    pub(super) async fn checkout_for(&self, query: &Declared) -> Result<Session, Error> {
        let mut session = self.checkout(query.access).await?;
        session.note(&query.effects, false).await?;
        self.counted();
        Ok(session)
    }

    /// One statement, which is a transaction by itself.
    async fn single(&self, query: &Declared, params: &[Param], format: Format) -> Result<Answer, Error> {
        let mut session = self.checkout_for(query).await?;
        let begun = Instant::now();
        let whole = execute(&mut session, query, &query.statements()[0], params, (format, MOST), false, None).await?;
        if matches!(whole, Whole::Large) {
            return Err(too_large(session));
        }
        weigh(query, begun, false);
        Ok(answer(whole))
    }

    /// Statements in one transaction; the last one answers. A list that is too much to be held in
    /// memory is read again, in a stream.
    async fn transact(
        &self,
        query: &Arc<Declared>,
        params: &[Param],
        format: Format,
        pooled: bool,
    ) -> Result<Answer, Error> {
        let values = query.setting_values(params)?;
        let mut session = self.checkout_for(query).await?;
        transaction::begin_for(&mut session, query, values.as_ref(), self).await?;
        let streams = query.access == Access::Read && query.rows == Rows::Many;
        let limit = if streams { self.0.database.0.config.stream_from } else { MOST };
        let mut whole = Whole::None;
        for statement in query.statements() {
            whole = if pooled {
                execute_unnamed(&mut session, query, statement, params, (format, limit)).await?
            } else {
                execute(&mut session, query, statement, params, (format, limit), true, None).await?
            };
            if matches!(whole, Whole::Large) && !streams {
                return Err(too_large(session));
            }
            if matches!(whole, Whole::Large) {
                query.keep_apart();
                // The rest of the rows is still to come; the server notices when nobody takes them.
                session.discard();
                return self.stream(query, params, format).await;
            }
        }
        transaction::end(&mut session, "COMMIT").await?;
        Ok(answer(whole))
    }
}

/// When to run something again.
#[derive(Default)]
struct Tries {
    healed: u32,
    /// Times that a name was unknown.
    named: u32,
    lost: u32,
    conflicts: u32,
}

impl Tries {
    /// Whether to run it again after this error; waits first when others have to get out of the
    /// way.
    async fn again(&mut self, pool: &Pool, access: Access, error: &Error) -> bool {
        if error.is_transient() && self.conflicts < pool.0.database.0.config.retries {
            transaction::pause(self.conflicts).await;
            self.conflicts += 1;
            return true;
        }
        if error.is_lost() && access == Access::Read {
            // What lay idle may have been lost with it, unnoticed.
            self.lost += 1;
            return self.lost <= LOSSES;
        }
        // A stale plan was refused before anything ran; inside a transaction it has undone what ran
        // before it. A description shows itself stale only when all is done.
        if error.is_statement_of_another_session() {
            // The idle connections are likely to have the same statements in mind.
            pool.evict_idle(access);
        }
        if error.is_about_a_name() {
            self.named += 1;
            return self.named <= 1;
        }
        let stale = error.is_stale_plan() || (error.is_stale_description() && access == Access::Read);
        self.healed += u32::from(stale);
        stale && self.healed <= MIGRATIONS
    }
}

/// Keeps a read away from the shared connections if it streamed, or took long on one of its own,
/// the wait for which does not count: else a crowd that waits for those would go on waiting for
/// them, and the shared ones stand idle.
pub(super) fn weigh(query: &Declared, begun: Instant, streamed: bool) {
    if query.slot.is_some() && (streamed || begun.elapsed() > SLOW) {
        query.keep_apart();
    }
}

/// A write returns more than is held: what runs is cancelled.
fn too_large(mut session: Session) -> Error {
    session.busy();
    Error::TooLarge(MOST)
}

pub(super) fn answer(whole: Whole) -> Answer {
    match whole {
        Whole::Rows(bytes) => Answer::Rows(bytes),
        Whole::Changed(count) => Answer::Changed(count),
        Whole::None | Whole::Large | Whole::Apart => Answer::None,
    }
}

/// Runs a prepared statement and holds its rows in memory, as many as the limit allows. With the
/// values of settings it is a transaction.
pub(super) async fn execute(
    session: &mut Session,
    query: &Declared,
    statement: &Statement,
    params: &[Param],
    (format, most): (Format, usize),
    in_transaction: bool,
    settings: Option<&Values>,
) -> Result<Whole, Error> {
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
            // Refused here, before it is sent: the session is as it was.
            let bound = match bind(query, statement, prepared.params(), params) {
                Ok(bound) => bound,
                Err(refused) => return Ok(Err(refused)),
            };
            let whole = async {
                let rows = object.query_raw(&prepared, bound).await?;
                collect(rows, Some(&columns), query.rows, format, most).await
            };
            match settings {
                Some(values) => within_transaction(object, query, values, whole).await.map(Ok),
                None => whole.await.map(Ok),
            }
        };
        result = Session::within(limit, run).await;
        session.done(in_transaction, &result);
        if !(matches!(result, Ok(Err(_))) && query.may_have_changed()) {
            break;
        }
        session.forget(&statement.sql);
    }
    match result {
        Ok(whole) => whole,
        Err(error) if query.is_stale(&error) => {
            session.forget(&statement.sql);
            Err(error)
        }
        // A statement that cannot be prepared is not the client's fault.
        Err(error) if !is_prepared => Err(error),
        Err(error) => Err(blame(error, query, statement)),
    }
}

/// A statement without a name, for a pooler between, inside of a transaction. The types of its
/// parameters are asked for once.
async fn execute_unnamed(
    session: &mut Session,
    query: &Declared,
    statement: &Statement,
    params: &[Param],
    (format, most): (Format, usize),
) -> Result<Whole, Error> {
    let limit = session.limit();
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
            // Refused here, before it is sent: the session is as it was.
            let bound = match bind(query, statement, &types, params) {
                Ok(bound) => bound,
                Err(refused) => return Ok(Err(refused)),
            };
            let typed = bound.into_iter().zip(types.iter().cloned());
            let rows = object.query_typed_raw(&statement.sql, typed).await?;
            let whole = collect(rows, None, query.rows, format, most).await?;
            if query.rows == Rows::One || !matches!(whole, Whole::Changed(0)) {
                return Ok(Ok(whole));
            }
            // Nothing came: is it an empty list, or has the statement none to give?
            let described = object.prepare(&statement.sql).await?;
            Ok(Ok(empty(&Column::all(described.columns())?, 0, query.rows, format)))
        };
        result = Session::within(limit, run).await;
        session.done(true, &result);
        if !(matches!(result, Ok(Err(_))) && query.may_have_changed()) {
            break;
        }
        statement.forget_types();
        session.forget(&statement.sql);
    }
    match result {
        Ok(whole) => whole,
        Err(error) if query.is_stale(&error) => {
            statement.forget_types();
            Err(error)
        }
        Err(error) if !is_prepared => Err(error),
        Err(error) => Err(blame(error, query, statement)),
    }
}
