//! The body of an answer, as fast as its client takes it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BoxError};
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};

use crate::ledger::{StreamLedger, Transfer};

/// What is asked for of the windows at once.
const MOST: usize = 64 << 10;

/// How a client takes an answer. While its window is shut it is waited for, at a pace.
struct Taker<'s> {
    stream: SendStream<Bytes>,
    ledger: &'s StreamLedger,
    /// Once it was waited for.
    paced: Option<Arc<Transfer>>,
    waits: bool,
}

/// What a body gives.
type Given = Option<Result<Frame<Bytes>, BoxError>>;

/// The stream is no more: its client has reset it, or does not take what it asked for.
struct Gone;

/// Sends `body`. What there is no window for stays here, so that nothing is held that nobody waits for.
pub(super) async fn send(mut body: Body, stream: SendStream<Bytes>, ledger: &StreamLedger) {
    let mut taker = Taker { stream, ledger, paced: None, waits: false };
    // Dropping the stream before its end resets it.
    let _: Result<(), Gone> = taker.send(&mut body).await;
}

// === impl Taker ===

impl Taker<'_> {
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
            self.took(piece.len());
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

    /// What comes next of the body.
    fn poll_next(&mut self, body: &mut Body, cx: &mut Context<'_>) -> Poll<Result<Given, Gone>> {
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(Ok(frame));
        }
        self.stream.poll_reset(cx).map(|_| Err(Gone))
    }

    /// How much the client takes now.
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

    /// The client is waited for; whether it was for too long.
    fn wait(&mut self, cx: &Context<'_>) -> bool {
        let paced = self.paced.get_or_insert_with(|| self.ledger.responses.watch());
        if !std::mem::replace(&mut self.waits, true) {
            paced.wait();
            self.ledger.block();
        }
        paced.is_timed_out(cx.waker())
    }

    /// It took so many bytes.
    fn took(&mut self, bytes: usize) {
        if let Some(paced) = &self.paced {
            paced.advance(bytes);
        }
        if std::mem::replace(&mut self.waits, false) {
            self.ledger.unblock();
        }
    }
}

impl Drop for Taker<'_> {
    fn drop(&mut self) {
        self.took(0);
        if let Some(paced) = &self.paced {
            self.ledger.responses.forget(paced);
        }
    }
}
