//! Sending the body of a response, at the pace of its client.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BoxError};
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};

use crate::ledger::{StreamLedger, Transfer};

/// The window that is requested at once, in bytes.
const MOST: usize = 64 << 10;

/// A response's stream. While its window is closed, the pace of the client is measured.
struct Sending<'s> {
    stream: SendStream<Bytes>,
    ledger: &'s StreamLedger,
    /// `None` until the body had to wait for the client.
    transfer: Option<Arc<Transfer>>,
    waits: bool,
}

/// The next item of a body.
type NextFrame = Option<Result<Frame<Bytes>, BoxError>>;

/// The end of a stream that the client has reset or reads too slowly.
struct Gone;

/// Sends `body`. Data without a window stays in the body, so that no memory fills up.
pub(super) async fn send(mut body: Body, stream: SendStream<Bytes>, ledger: &StreamLedger) {
    let mut sending = Sending { stream, ledger, transfer: None, waits: false };
    // Dropping the stream before its end resets it.
    let _: Result<(), Gone> = sending.send(&mut body).await;
}

// === impl Sending ===

impl Sending<'_> {
    async fn send(&mut self, body: &mut Body) -> Result<(), Gone> {
        loop {
            match poll_fn(|cx| self.poll_next(body, cx)).await? {
                None => return self.give(Bytes::new(), true),
                Some(Err(_)) => {
                    self.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Err(Gone);
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let ends = body.is_end_stream();
                        self.send_data(data, ends).await?;
                        if ends {
                            return Ok(());
                        }
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            return self.stream.send_trailers(trailers).map_err(|_| Gone);
                        }
                    }
                },
            }
        }
    }

    async fn send_data(&mut self, mut data: Bytes, ends: bool) -> Result<(), Gone> {
        while !data.is_empty() {
            self.stream.reserve_capacity(data.len().min(MOST));
            let room = poll_fn(|cx| self.poll_room(cx)).await?;
            let piece = data.split_to(room.min(data.len()));
            self.count(piece.len());
            self.give(piece, ends && data.is_empty())?;
            if data.is_empty() {
                return Ok(());
            }
        }
        if ends { self.give(data, true) } else { Ok(()) }
    }

    fn give(&mut self, data: Bytes, ends: bool) -> Result<(), Gone> {
        self.stream.send_data(data, ends).map_err(|_| Gone)
    }

    /// Polls the next frame of the body.
    fn poll_next(&mut self, body: &mut Body, cx: &mut Context<'_>) -> Poll<Result<NextFrame, Gone>> {
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(Ok(frame));
        }
        self.stream.poll_reset(cx).map(|_| Err(Gone))
    }

    /// Polls the window, in bytes.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Gone>> {
        loop {
            let room = self.stream.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return Poll::Ready(Err(Gone)),
                Poll::Pending => break,
            }
        }
        if self.stream.poll_reset(cx).is_ready() || self.wait(cx) {
            return Poll::Ready(Err(Gone));
        }
        Poll::Pending
    }

    /// Waits for the client. Returns `true` if it took too long.
    fn wait(&mut self, cx: &Context<'_>) -> bool {
        let transfer = self.transfer.get_or_insert_with(|| self.ledger.responses.watch());
        if !std::mem::replace(&mut self.waits, true) {
            transfer.wait();
            self.ledger.block();
        }
        transfer.is_timed_out(cx.waker())
    }

    /// Counts sent bytes, and stops waiting.
    fn count(&mut self, bytes: usize) {
        if let Some(transfer) = &self.transfer {
            transfer.advance(bytes);
        }
        if std::mem::replace(&mut self.waits, false) {
            self.ledger.unblock();
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.count(0);
        if let Some(transfer) = &self.transfer {
            self.ledger.responses.forget(transfer);
        }
    }
}
