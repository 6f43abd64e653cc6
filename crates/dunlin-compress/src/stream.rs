//! A body that is encoded as it flows.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use dunlin_http::{Body, BoxError};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use crate::encoder::{BUDGET, Encoder, Op, Spec, cost};

/// Output is passed on when there is this much of it, in bytes.
const FRAME: usize = 16 << 10;

/// A stream, encoded.
///
/// It asks `inner` for more only when it is asked itself, so a client that does not read stops the encoder. When `inner`
/// has nothing now, all that it gave before is flushed out: what a handler has sent is never held back. While `inner`
/// always has more, output goes out as it is made. Dropped, it gives the encoder back.
pub(crate) struct Encoded {
    inner: Body,
    spec: Spec,
    state: State,
    /// Input that is still to be encoded.
    input: Bytes,
    /// Output that is still to be passed on.
    out: Vec<u8>,
    /// Whether the encoder has input inside that was not flushed.
    unflushed: bool,
    /// What was done since the loop was last let go, in nanoseconds by estimate.
    spent: u64,
}

enum State {
    /// Nothing has come yet: a body that is never read costs no encoder.
    Start,
    Encoding(Encoder),
    Trailers(HeaderMap),
    Done,
}

// === impl Encoded ===

impl Encoded {
    pub(crate) const fn new(inner: Body, spec: Spec) -> Self {
        Self { inner, spec, state: State::Start, input: Bytes::new(), out: Vec::new(), unflushed: false, spent: 0 }
    }

    fn run(&mut self, input: &[u8], op: Op) -> Result<(), BoxError> {
        if matches!(self.state, State::Start) {
            self.state = State::Encoding(Encoder::take(self.spec)?);
        }
        let State::Encoding(encoder) = &mut self.state else { return Ok(()) };
        encoder.encode(input, op, &mut self.out)?;
        self.unflushed = op == Op::Process;
        Ok(())
    }

    /// The most input to take at once, in bytes, so that the loop is let go in time.
    fn slice(&self) -> usize {
        (BUDGET / cost(self.spec.coding, self.spec.level)).clamp(1 << 10, 64 << 10) as usize
    }

    fn output(&mut self) -> Bytes {
        let out = std::mem::take(&mut self.out);
        // Most of the buffer may be empty: an event is small.
        if out.len() < out.capacity() / 2 { Bytes::copy_from_slice(&out) } else { out.into() }
    }

    /// Encodes a slice of what has come. `true` when the loop should be let go.
    fn step(&mut self) -> Result<bool, BoxError> {
        let slice = self.input.split_to(self.slice().min(self.input.len()));
        self.run(&slice, Op::Process)?;
        self.spent += slice.len() as u64 * cost(self.spec.coding, self.spec.level);
        Ok(self.spent >= BUDGET)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if self.out.len() >= FRAME {
                return Poll::Ready(Some(Ok(Frame::data(self.output()))));
            }
            if self.input.has_remaining() {
                if self.step()? {
                    self.spent = 0;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                continue;
            }
            if matches!(self.state, State::Done | State::Trailers(_)) {
                if !self.out.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(self.output()))));
                }
                return Poll::Ready(match std::mem::replace(&mut self.state, State::Done) {
                    State::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
                    _ => None,
                });
            }
            match Pin::new(&mut self.inner).poll_frame(cx)? {
                Poll::Ready(Some(frame)) => match frame.into_data() {
                    Ok(data) => self.input = data,
                    Err(frame) => {
                        self.run(&[], Op::Finish)?;
                        self.state = frame.into_trailers().map_or(State::Done, State::Trailers);
                    }
                },
                Poll::Ready(None) => {
                    self.run(&[], Op::Finish)?;
                    self.state = State::Done;
                }
                Poll::Pending => {
                    self.spent = 0;
                    if self.unflushed {
                        self.run(&[], Op::Flush)?;
                    }
                    if self.out.is_empty() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(self.output()))));
                }
            }
        }
    }
}

impl http_body::Body for Encoded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = this.poll(cx);
        if let Poll::Ready(Some(Err(_))) = polled {
            this.state = State::Done;
            this.input = Bytes::new();
            this.out = Vec::new();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done) && self.out.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}
