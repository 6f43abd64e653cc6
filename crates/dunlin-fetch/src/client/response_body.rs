//! [`ResponseBody`]: the body of a response, which drives its connection while it is read.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::BoxError;
use http_body::{Body as _, Frame, SizeHint};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::origin::Lease;
use super::pending::Pending;
use super::timer::Timer;
use crate::Error;

/// The body of a response. It drives its connection, and gives it back at the end.
///
/// A body that is dropped earlier closes its connection, unless the rest has arrived already.
pub(crate) struct ResponseBody {
    body: Option<hyper::body::Incoming>,
    driven_by: DrivenBy,
    timer: Timer,
    read_timeout: Duration,
    deadline: Option<Instant>,
    /// Counts the request until the body ends.
    pending: Option<Pending>,
}

/// The driver of a connection while a response body is read.
pub(crate) enum DrivenBy {
    /// The body itself.
    Body(Lease),
    /// A task, because the request body is still being sent and must not wait for a reader of the
    /// response.
    Task {
        /// The connection counts as in use until the body ends.
        _lease: Lease,
        task: AbortHandle,
    },
    /// Nothing: the connection has been given back or has ended.
    Done,
}

// === impl ResponseBody ===

impl ResponseBody {
    pub(crate) fn new(
        body: hyper::body::Incoming,
        mut driven_by: DrivenBy,
        read_timeout: Duration,
        pending: Option<Pending>,
    ) -> Self {
        let timer = match &mut driven_by {
            DrivenBy::Body(lease) => {
                lease.connection.as_mut().map_or_else(Timer::new, |connection| std::mem::take(&mut connection.timer))
            }
            _ => Timer::new(),
        };
        let mut this = Self { body: Some(body), driven_by, timer, read_timeout, deadline: None, pending };
        if this.is_end_stream() {
            this.finish();
        }
        this
    }

    /// Gives the connection back.
    fn finish(&mut self) {
        self.pending = None;
        if let DrivenBy::Body(mut lease) = std::mem::replace(&mut self.driven_by, DrivenBy::Done)
            && let Some(connection) = &mut lease.connection
        {
            connection.timer = std::mem::take(&mut self.timer);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match (&mut self.body, &mut self.driven_by) {
            (None, _) => Poll::Ready(None),
            (Some(body), DrivenBy::Body(Lease { connection: Some(connection), .. })) => connection.poll_body(body, cx),
            (Some(body), _) => Pin::new(body).poll_frame(cx),
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match this.poll_body(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.deadline = None;
                if this.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.driven_by = DrivenBy::Done;
                Poll::Ready(Some(Err(Error::Protocol(error.into()).into())))
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let read_timeout = this.read_timeout;
                let deadline = *this.deadline.get_or_insert_with(|| Instant::now() + read_timeout);
                if this.timer.poll(deadline, cx).is_pending() {
                    return Poll::Pending;
                }
                this.body = None;
                Poll::Ready(Some(Err(Error::Timeout(read_timeout).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let complete = self.is_end_stream();
        // hyper drains what it has already read, or closes the connection.
        self.body = None;
        if let (false, DrivenBy::Task { task, .. }) = (complete, &self.driven_by) {
            task.abort();
        }
        self.finish();
    }
}
