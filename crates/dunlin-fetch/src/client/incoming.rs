//! The body of an answer, which drives its connection while it is read.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::BoxError;
use http_body::{Body as _, Frame, SizeHint};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::origin::Lease;
use crate::FetchError;

/// The body of an answer. It drives its connection, and gives it back at the end. Dropped earlier,
/// it takes the connection along, unless the rest has arrived already.
pub(crate) struct Incoming {
    body: Option<hyper::body::Incoming>,
    drive: Drive,
    alarm: Alarm,
    pause: Duration,
    deadline: Option<Instant>,
}

/// Who drives the connection.
pub(crate) enum Drive {
    /// The body itself.
    Body(Lease),
    /// A task, because the request's body is still on its way and must not wait for a reader of the
    /// answer.
    Task {
        /// Counts as in use to the end.
        _lease: Lease,
        task: AbortHandle,
    },
    /// Nobody: the body has come to its end.
    Done,
}

// === impl Incoming ===

impl Incoming {
    pub(crate) fn new(body: hyper::body::Incoming, mut drive: Drive, pause: Duration) -> Self {
        let alarm = match &mut drive {
            Drive::Body(lease) => lease.conn.as_mut().map_or_else(Alarm::new, |conn| std::mem::take(&mut conn.alarm)),
            _ => Alarm::new(),
        };
        let mut this = Self { body: Some(body), drive, alarm, pause, deadline: None };
        if this.is_end_stream() {
            this.finish();
        }
        this
    }

    /// Gives the connection back.
    fn finish(&mut self) {
        if let Drive::Body(mut lease) = std::mem::replace(&mut self.drive, Drive::Done)
            && let Some(conn) = &mut lease.conn
        {
            conn.alarm = std::mem::take(&mut self.alarm);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match (&mut self.body, &mut self.drive) {
            (None, _) => Poll::Ready(None),
            (Some(body), Drive::Body(Lease { conn: Some(conn), .. })) => conn.poll_body(body, cx),
            (Some(body), _) => Pin::new(body).poll_frame(cx),
        }
    }
}

impl http_body::Body for Incoming {
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
                this.drive = Drive::Done;
                Poll::Ready(Some(Err(FetchError::Protocol(error.into()).into())))
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let pause = this.pause;
                let deadline = *this.deadline.get_or_insert_with(|| Instant::now() + pause);
                if this.alarm.poll(deadline, cx).is_pending() {
                    return Poll::Pending;
                }
                this.body = None;
                Poll::Ready(Some(Err(FetchError::Timeout(pause).into())))
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

impl Drop for Incoming {
    fn drop(&mut self) {
        let complete = self.is_end_stream();
        // hyper drains what it has already read, or closes.
        self.body = None;
        if let (false, Drive::Task { task, .. }) = (complete, &self.drive) {
            task.abort();
        }
        self.finish();
    }
}
