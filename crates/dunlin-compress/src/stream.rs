//! A body that is encoded as it flows.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BoxError};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::encoder::{BUDGET, Encoder, Op, Spec};
use crate::layer::Shared;

/// Output is passed on when there is this much of it, in bytes.
const FRAME: usize = 16 << 10;

/// A stream of a known length of at most this many bytes is collected, as long as it comes at once:
/// encoding it in one go costs half as much.
const COLLECTED: u64 = 64 << 10;

/// A stream, encoded.
///
/// It asks `inner` for more only when it is asked itself, so a client that does not read stops the
/// encoder. When `inner` has nothing now, all that it gave before is flushed out: what a handler
/// has sent is never held back. While `inner` always has more, output goes out as it is made. A
/// piece of work that would hold the event loop too long goes to a thread, one at a time; if the
/// threads have too much to do it waits for them. Where there are no threads it is done here, in
/// smaller pieces, and the loop let go after each. Dropped, it gives the encoder back.
pub(crate) struct Encoded {
    inner: Begun,
    spec: Spec,
    shared: Arc<Shared>,
    state: State,
    /// Input that is still to be encoded.
    input: Bytes,
    /// Output that is still to be passed on.
    out: Vec<u8>,
    /// Whether the encoder has input inside that was not flushed.
    unflushed: bool,
    /// What comes after the content, when `inner` has come to its end.
    end: Option<State>,
    /// What was done since the loop was last let go, in nanoseconds by estimate.
    spent: u64,
}

/// A stream, and what was read of it already.
pub(crate) struct Begun {
    body: Body,
    ahead: VecDeque<Polled>,
}

/// What a body gives: a frame, an error, or its end.
type Polled = Option<Result<Frame<Bytes>, BoxError>>;

/// What a stream turned out to be.
pub(crate) enum Peeked {
    Complete(Bytes),
    Stream(Begun),
}

#[derive(Default)]
enum State {
    /// Nothing has come yet: a body that is never read costs no encoder.
    Start,
    Encoding(Encoder),
    /// All threads have enough to do.
    Full(Room, Work),
    /// The encoder is at work in a thread.
    Away(oneshot::Receiver<Returned>),
    Trailers(HeaderMap),
    #[default]
    Done,
}

type Room = Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>;

/// A piece of work for a thread.
struct Work {
    encoder: Encoder,
    input: Bytes,
    op: Op,
    out: Vec<u8>,
}

/// What comes back from a thread.
struct Returned {
    encoder: Encoder,
    out: Vec<u8>,
    done: Result<(), BoxError>,
}

// === impl Begun ===

impl Begun {
    pub(crate) const fn not(body: Body) -> Self {
        Self { body, ahead: VecDeque::new() }
    }

    /// The content of a stream that is none: one that knows its length, and has all of it at once.
    /// Other frameworks box what is complete like that, and a short answer from an upstream comes
    /// so. Nothing is waited for.
    pub(crate) fn peek(body: Body, cx: &mut Context<'_>) -> Peeked {
        let (len, mut this) = (body.len(), Self::not(body));
        let Some(len) = len else { return Peeked::Stream(this) };
        let mut have = 0;
        while let Poll::Ready(polled) = Pin::new(&mut this.body).poll_frame(cx) {
            let data = polled.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            let data = data.map_or(0, |data| data.len() as u64);
            this.ahead.push_back(polled);
            have += data;
            if have == len && this.body.is_end_stream() {
                return Peeked::Complete(this.join());
            }
            if have >= len || data == 0 || len > COLLECTED {
                break;
            }
        }
        Peeked::Stream(this)
    }

    /// The data that was read.
    fn join(self) -> Bytes {
        let mut data = self.ahead.into_iter().flatten().flatten().filter_map(|frame| frame.into_data().ok());
        let first = data.next().unwrap_or_default();
        let mut rest = data.peekable();
        if rest.peek().is_none() {
            return first;
        }
        let mut whole = Vec::with_capacity(COLLECTED as usize);
        whole.extend_from_slice(&first);
        rest.for_each(|piece| whole.extend_from_slice(&piece));
        whole.into()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        match self.ahead.pop_front() {
            Some(polled) => Poll::Ready(polled),
            None => Pin::new(&mut self.body).poll_frame(cx),
        }
    }
}

// === impl Encoded ===

impl Encoded {
    pub(crate) fn new(inner: Begun, spec: Spec, shared: Arc<Shared>) -> Self {
        let (input, out) = (Bytes::new(), Vec::new());
        Self { inner, spec, shared, state: State::Start, input, out, unflushed: false, end: None, spent: 0 }
    }

    /// Encodes `input` and does `op`, here or away.
    fn run(&mut self, input: Bytes, op: Op) -> Result<(), BoxError> {
        let mut encoder = match std::mem::take(&mut self.state) {
            State::Start => Encoder::take(self.spec)?,
            State::Encoding(encoder) => encoder,
            other => {
                self.state = other;
                return Ok(());
            }
        };
        self.unflushed = op == Op::Process;
        let cost = encoder.cost(input.len(), op);
        let workers = &self.shared.workers;
        if cost > BUDGET && !workers.is_none() {
            let work = Work { encoder, input, op, out: std::mem::take(&mut self.out) };
            match workers.try_room() {
                Some(room) => self.send_away(room, work),
                None => {
                    self.shared.overflowed.fetch_add(1, Ordering::Relaxed);
                    self.state = State::Full(Box::pin(workers.room()), work);
                }
            }
            return Ok(());
        }
        self.spent += cost;
        encoder.encode(&input, op, &mut self.out)?;
        self.came_back(encoder);
        Ok(())
    }

    /// There is room: the work goes to a thread.
    fn send_away(&mut self, room: OwnedSemaphorePermit, work: Work) {
        let (sender, receiver) = oneshot::channel();
        let Work { mut encoder, input, op, mut out } = work;
        let job = move || {
            // The client may have left meanwhile.
            if !sender.is_closed() {
                let done = encoder.encode(&input, op, &mut out);
                let _ = sender.send(Returned { encoder, out, done });
            }
        };
        if let Err(job) = self.shared.workers.submit_in(room, job) {
            // No thread can be had, and somebody has to do it.
            self.spent = BUDGET;
            job();
        }
        self.state = State::Away(receiver);
    }

    fn came_back(&mut self, encoder: Encoder) {
        self.state = self.end.take().unwrap_or(State::Encoding(encoder));
    }

    fn output(&mut self) -> Frame<Bytes> {
        let out = std::mem::take(&mut self.out);
        // Most of the buffer may be empty: an event is small.
        Frame::data(if out.len() < out.capacity() / 2 { Bytes::copy_from_slice(&out) } else { out.into() })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        loop {
            if let State::Full(room, _) = &mut self.state {
                let room = ready!(room.as_mut().poll(cx));
                if let State::Full(_, work) = std::mem::take(&mut self.state) {
                    self.send_away(room, work);
                }
            }
            if let State::Away(receiver) = &mut self.state {
                let Ok(returned) = ready!(Pin::new(receiver).poll(cx)) else {
                    return Poll::Ready(Some(Err("the thread that encoded the body has ended".into())));
                };
                self.out = returned.out;
                returned.done?;
                self.came_back(returned.encoder);
            }
            if self.spent >= BUDGET {
                self.spent = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.out.len() >= FRAME {
                return Poll::Ready(Some(Ok(self.output())));
            }
            if !self.input.is_empty() {
                let (most, op) = match self.shared.workers.is_none() {
                    true => self.spec.slice_alone(),
                    false => (self.spec.slice(), Op::Process),
                };
                let slice = self.input.split_to(self.input.len().min(most));
                self.run(slice, op)?;
                continue;
            }
            if matches!(self.state, State::Done | State::Trailers(_)) {
                if !self.out.is_empty() {
                    return Poll::Ready(Some(Ok(self.output())));
                }
                return Poll::Ready(match std::mem::take(&mut self.state) {
                    State::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
                    _ => None,
                });
            }
            match self.inner.poll_frame(cx)? {
                Poll::Ready(Some(frame)) => match frame.into_data() {
                    Ok(data) => self.input = data,
                    Err(frame) => self.finish(frame.into_trailers().map_or(State::Done, State::Trailers))?,
                },
                Poll::Ready(None) => self.finish(State::Done)?,
                Poll::Pending if self.unflushed => self.run(Bytes::new(), Op::Flush)?,
                Poll::Pending => {
                    self.spent = 0;
                    if self.out.is_empty() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(Ok(self.output())));
                }
            }
        }
    }

    fn finish(&mut self, end: State) -> Result<(), BoxError> {
        self.end = Some(end);
        self.run(Bytes::new(), Op::Finish)
    }
}

impl http_body::Body for Encoded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        let this = self.get_mut();
        let polled = this.poll(cx);
        if let Poll::Ready(Some(Err(_))) = polled {
            (this.state, this.input, this.out) = (State::Done, Bytes::new(), Vec::new());
            this.inner = Begun::not(Body::empty());
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
