//! Lists that are streamed from a dedicated connection, in bounded memory.
//!
//! A task reads the rows through a portal, part by part. A part is as many rows as fill a chunk.
//! The server's limit for a statement applies to each part, and not to the time that the client
//! takes to read it. A client that stops reading leaves the transaction idle, which has a limit of
//! its own. A client that goes away closes the channel. Then the task is dropped with its session,
//! which cancels the statement.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deadpool_postgres::{Object, Transaction};
use dunlin_http::{Body, BoxError};
use futures_util::StreamExt;
use http_body::Frame;
use tokio::sync::mpsc;
use tokio_postgres::Statement;

use super::answer::Answer;
use super::binding::{Binding, bind, blame};
use super::call::Call;
use super::session::Session;
use super::{Pool, transaction};
use crate::declared::Declared;
use crate::error::Error;
use crate::json::{Column, Format};
use crate::param::Param;
use crate::query::SettingValues;

/// The number of rows of the first part. Their size decides the number of the next ones.
const FIRST_ROWS: i32 = 256;
const MAX_ROWS: i32 = 8192;

enum Part {
    /// The complete answer.
    Whole(Vec<u8>),
    Chunk(Vec<u8>),
    Last(Vec<u8>),
    Failed(Error),
}

/// The body of an answer whose rows are still arriving.
struct Rows {
    first: Option<Bytes>,
    parts: mpsc::Receiver<Part>,
    ended: bool,
}

/// The progress of a reader.
#[derive(Default)]
struct Progress {
    /// The index of the statement.
    at: usize,
    /// `true` if the server has prepared that statement.
    is_prepared: bool,
}

struct Reader {
    query: Arc<Declared>,
    params: Vec<Param>,
    /// The values of the transaction's settings.
    values: Option<SettingValues>,
    format: Format,
    /// The size of a chunk, and the limit of an answer that is not streamed.
    size: usize,
    /// The time that a client may take to read a chunk.
    idle: Duration,
    /// The commands that set the transaction's limits.
    limits: Option<String>,
    parts: mpsc::Sender<Part>,
}

// === impl Pool ===

impl Pool {
    /// Reads a list. The answer is complete if it is small, and otherwise a stream.
    pub(super) async fn stream(&self, call: Call<'_>) -> Result<Answer, Error> {
        let Call { query, params, format, .. } = call;
        let values = query.setting_values(params)?;
        let mut session = self.checkout_for(query).await?;
        let started = Instant::now();
        let (sender, mut parts) = mpsc::channel(1);
        let config = self.config();
        let reader = Reader {
            query: query.clone(),
            params: params.to_vec(),
            values,
            format,
            size: config.stream_from,
            idle: config.idle_transaction_timeout,
            limits: transaction::limits(config),
            parts: sender,
        };
        tokio::spawn(async move {
            let gone = reader.parts.clone();
            tokio::select! {
                biased;
                result = reader.read(&mut session) => {
                    // The connection goes back before the client can ask for it again.
                    drop(session);
                    let last = result.unwrap_or_else(Part::Failed);
                    let _ = reader.parts.send(last).await;
                }
                () = gone.closed() => {}
            }
        });
        let first = parts.recv().await;
        if let Some(Part::Whole(_) | Part::Chunk(_)) = first {
            query.note_cost(started, matches!(first, Some(Part::Chunk(_))));
        }
        match first {
            Some(Part::Whole(bytes)) => Ok(Answer::Rows(bytes.into())),
            Some(Part::Chunk(bytes)) => {
                Ok(Answer::Stream(Body::new(Rows { first: Some(bytes.into()), parts, ended: false })))
            }
            Some(Part::Failed(error)) => Err(error),
            Some(Part::Last(_)) | None => Err(Error::Unreachable("the reader of rows is gone".into())),
        }
    }
}

// === impl Reader ===

impl Reader {
    async fn read(&self, session: &mut Session) -> Result<Part, Error> {
        let limit = session.limit();
        session.busy();
        let mut progress = Progress::default();
        let mut result = self.read_on(session.object_mut()?, limit, &mut progress).await;
        if matches!(result, Err(Error::Parameter { .. })) && self.query.take_recheck() {
            session.forget(&self.query.statements()[progress.at].sql);
            progress = Progress::default();
            result = self.read_on(session.object_mut()?, limit, &mut progress).await;
        }
        session.done(false, &result);
        let statement = &self.query.statements()[progress.at];
        match result {
            Err(error) if self.query.is_stale(&error) => {
                session.forget(&statement.sql);
                Err(error)
            }
            // A statement that cannot be prepared is not the client's fault.
            result if !progress.is_prepared => result,
            result => result.map_err(|error| blame(error, &self.query, statement)),
        }
    }

    /// Reads the rows of the last statement.
    async fn read_on(&self, object: &mut Object, limit: Duration, progress: &mut Progress) -> Result<Part, Error> {
        let mut builder = object.build_transaction().read_only(true);
        if let Some(isolation) = self.query.isolation {
            builder = builder.isolation_level(isolation.into());
        }
        let transaction = Session::within(limit, async { Ok(builder.start().await?) }).await?;
        if let Some(limits) = &self.limits {
            Session::within(limit, async { Ok(transaction.batch_execute(limits).await?) }).await?;
        }
        if let (Some(settings), Some(values)) = (&self.query.settings, &self.values) {
            let client: &tokio_postgres::Transaction<'_> = &transaction;
            Session::within(limit, settings.set(client, values)).await?;
        }
        let last = self.query.statements().len() - 1;
        while progress.at < last {
            let (prepared, bound) = Session::within(limit, self.prepare(&transaction, progress)).await?;
            Session::within(limit, async { Ok(transaction.execute_raw(&prepared, bound).await?) }).await?;
            *progress = Progress { at: progress.at + 1, is_prepared: false };
        }
        let (prepared, bound) = Session::within(limit, self.prepare(&transaction, progress)).await?;
        let columns = Column::all(prepared.columns())?;
        let portal = Session::within(limit, async { Ok(transaction.bind_raw(&prepared, bound).await?) }).await?;
        // Only the portal holds the statement now, so that behind a pooler it does not outlive the
        // transaction.
        drop(prepared);

        let mut out = Vec::with_capacity(4096);
        let (mut want, mut first, mut sent) = (FIRST_ROWS, true, false);
        self.format.begin(&columns, &mut out);
        loop {
            let before = out.len();
            let part = async {
                let mut rows = pin!(transaction.query_portal_raw(&portal, want).await?);
                let mut count = 0;
                while let Some(row) = rows.next().await {
                    self.format.row(&columns, &row?, first, &mut out)?;
                    first = false;
                    count += 1;
                }
                Ok(count)
            };
            let count = Session::within(limit, part).await?;
            let done = count < want;
            if !done && (out.len() >= self.size || sent) {
                sent = true;
                want = rows_for(self.size, out.len() - before, count);
                self.send(Part::Chunk(std::mem::replace(&mut out, Vec::with_capacity(self.size * 5 / 4)))).await?;
            }
            if done {
                break;
            }
        }
        self.format.end(&mut out);
        drop(portal);
        if self.limits.is_some() {
            // The client library's statements for types must not stay in the pooler's session.
            Session::within(limit, async { Ok(transaction.batch_execute("DEALLOCATE ALL").await?) }).await?;
        }
        Session::within(limit, async { Ok(transaction.commit().await?) }).await?;
        Ok(if sent { Part::Last(out) } else { Part::Whole(out) })
    }

    async fn prepare(
        &self,
        transaction: &Transaction<'_>,
        progress: &mut Progress,
    ) -> Result<(Statement, Binding), Error> {
        let statement = &self.query.statements()[progress.at];
        let prepared = match self.limits {
            None => transaction.prepare_cached(&statement.sql).await?,
            // The next transaction may be in another session of the pooler.
            Some(_) => transaction.prepare(&statement.sql).await?,
        };
        progress.is_prepared = true;
        let bound = bind(&self.query, statement, prepared.params(), &self.params)?;
        Ok((prepared, bound))
    }

    async fn send(&self, part: Part) -> Result<(), Error> {
        // After this time the server ends the idle transaction and its connection.
        let limit = self.idle;
        match tokio::time::timeout(limit, self.parts.send(part)).await {
            Ok(sent) => sent.map_err(|_| Error::Unreachable("the client is gone".into())),
            Err(_) => Err(Error::Timeout(limit)),
        }
    }
}

/// The number of rows for a chunk of `size` bytes, if they are as large as the last `rows`.
fn rows_for(size: usize, bytes: usize, rows: i32) -> i32 {
    let each = (bytes / usize::try_from(rows.max(1)).unwrap_or(1)).max(1);
    i32::try_from(size / each).unwrap_or(MAX_ROWS).clamp(1, MAX_ROWS)
}

// === impl Rows ===

impl http_body::Body for Rows {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let part = std::task::ready!(self.parts.poll_recv(cx));
        if let Some(Part::Chunk(bytes)) = part {
            return Poll::Ready(Some(Ok(Frame::data(bytes.into()))));
        }
        self.ended = true;
        Poll::Ready(match part {
            Some(Part::Last(bytes)) => Some(Ok(Frame::data(bytes.into()))),
            Some(Part::Failed(error)) => Some(Err(error.into())),
            // The task ended without a last part, so some rows are missing.
            _ => Some(Err("the rows broke off".into())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_rows_decides_their_number() {
        assert_eq!(rows_for(65536, 25600, 256), 655);
        assert_eq!(rows_for(65536, 10_000_000, 10), 1);
        assert_eq!(rows_for(65536, 0, 0), MAX_ROWS);
    }
}
