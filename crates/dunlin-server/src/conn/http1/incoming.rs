//! The body of a request, on its way from the connection to its reader.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use dunlin_http::{BodyError, BoxError};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::ledger::Ledger;

/// The body of a request as a handler reads it: limited, with errors that have a status.
#[derive(Debug)]
pub(super) struct Incoming {
    channel: Arc<Channel>,
    /// The bytes that may still come, and the limit.
    left: u64,
    limit: u64,
    /// The bytes that will still come, where that is known.
    length: Option<u64>,
}

/// The connection's end of an [`Incoming`].
#[derive(Debug)]
pub(super) struct Feed(Arc<Channel>);

#[derive(Debug)]
struct Channel {
    slot: Mutex<Slot>,
    ledger: Arc<Ledger>,
}

/// The room for one frame. Other bytes stay in the socket.
#[derive(Debug, Default)]
struct Slot {
    frame: Option<Result<Frame<Bytes>, BodyError>>,
    /// `true` if `frame` is the last one.
    ended: bool,
    /// `true` if the reader waits for a frame.
    is_awaited: bool,
    gone: bool,
    reader: Option<Waker>,
}

/// The state of a body's reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Waits,
    /// It has a frame to read, or it does not read now.
    Busy,
    Gone,
}

/// A body of at most `limit` bytes, `length` of them if that is known, and its sender.
pub(super) fn channel(limit: u64, length: Option<u64>, ledger: &Arc<Ledger>) -> (Feed, Incoming) {
    let channel = Arc::new(Channel { slot: Mutex::default(), ledger: ledger.clone() });
    (Feed(channel.clone()), Incoming { channel, left: limit, limit, length })
}

// === impl Channel ===

impl Channel {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Feed ===

impl Feed {
    pub(super) fn reader(&self) -> Reader {
        let slot = self.0.slot();
        match () {
            () if slot.gone => Reader::Gone,
            () if slot.is_awaited => Reader::Waits,
            () => Reader::Busy,
        }
    }

    /// Sends a piece to a reader that waits. It is the last if `ended`.
    pub(super) fn data(&self, data: Bytes, ended: bool) {
        self.put(Some(Ok(Frame::data(data))), ended);
    }

    pub(super) fn end(&self, trailers: Option<HeaderMap>) {
        self.put(trailers.map(|trailers| Ok(Frame::trailers(trailers))), true);
    }

    pub(super) fn fail(&self, error: BodyError) {
        self.put(Some(Err(error)), true);
    }

    fn put(&self, frame: Option<Result<Frame<Bytes>, BodyError>>, ended: bool) {
        let mut slot = self.0.slot();
        (slot.ended, slot.is_awaited) = (ended, false);
        if frame.is_some() {
            slot.frame = frame;
        }
        let reader = slot.reader.take();
        drop(slot);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// A body that ends with the connection fails, because it is not complete.
impl Drop for Feed {
    fn drop(&mut self) {
        if !self.0.slot().ended {
            self.fail(BodyError::Other("the connection ended before the body did".into()));
        }
    }
}

// === impl Incoming ===

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut slot = self.channel.slot();
        let frame = match slot.frame.take() {
            Some(frame) => frame,
            None if slot.ended => return Poll::Ready(None),
            None => {
                slot.reader = Some(cx.waker().clone());
                if !std::mem::replace(&mut slot.is_awaited, true) {
                    drop(slot);
                    self.channel.ledger.wake();
                }
                return Poll::Pending;
            }
        };
        drop(slot);
        let len = frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64;
        if len > self.left {
            self.left = 0;
            return Poll::Ready(Some(Err(BodyError::TooLarge { limit: self.limit }.into())));
        }
        self.left -= len;
        self.length = self.length.map(|length| length.saturating_sub(len));
        Poll::Ready(Some(frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        let slot = self.channel.slot();
        slot.ended && slot.frame.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut slot = self.channel.slot();
        slot.gone = true;
        if !slot.ended {
            drop(slot);
            self.channel.ledger.wake();
        }
    }
}
