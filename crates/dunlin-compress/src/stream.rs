//! [`EncodedBody`]: a stream that is encoded while it is read.

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
use crate::shared::Shared;

/// The size from which output is passed on, in bytes.
const MIN_FRAME: usize = 16 << 10;

/// The limit up to which a stream of known length is collected, if all of it is available at once.
/// In bytes. To encode it as a whole costs half as much.
const MAX_COLLECTED: u64 = 64 << 10;

/// A stream that is encoded while it is read.
///
/// - **Backpressure.** `inner` is polled only when this body is polled, so that a client that does
///   not read stops the encoder.
/// - **Flushes.** When `inner` is pending, all that it gave before is flushed, so that the client
///   can read everything that the handler has sent.
/// - **Work.** A piece of work that would block the event loop too long goes to a thread, one piece
///   at a time. If all threads are busy, it waits for one. Without threads, the event loop does it
///   in smaller slices, and runs other tasks between them.
///
/// On drop, the encoder is freed for another stream.
pub(crate) struct EncodedBody {
    inner: ReadAhead,
    spec: Spec,
    shared: Arc<Shared>,
    state: State,
    /// The input that is not encoded yet.
    input: Bytes,
    /// The output that is not passed on yet.
    out: Vec<u8>,
    /// `true` if the encoder contains input that is not flushed.
    unflushed: bool,
    /// The state after the content. Set when `inner` has ended.
    end: Option<State>,
    /// The estimated time of the work since the event loop last ran other tasks, in nanoseconds.
    spent: u64,
}

/// A stream, and the frames that were read from it already.
pub(crate) struct ReadAhead {
    body: Body,
    read: VecDeque<Polled>,
}

/// The output of a body: a frame, an error, or its end.
type Polled = Option<Result<Frame<Bytes>, BoxError>>;

/// The outcome of [`ReadAhead::peek`].
pub(crate) enum Peeked {
    Complete(Bytes),
    Stream(ReadAhead),
}

#[derive(Default)]
enum State {
    /// The state before the first frame. A body that is never read costs no encoder.
    Start,
    Encoding(Encoder),
    /// All threads are busy.
    WaitingForWorker(Reservation, Work),
    /// A thread has the encoder.
    InWorker(oneshot::Receiver<Returned>),
    Trailers(HeaderMap),
    #[default]
    Done,
}

type Reservation = Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>;

/// A piece of work for a thread.
struct Work {
    encoder: Encoder,
    input: Bytes,
    op: Op,
    out: Vec<u8>,
}

/// A piece of work that a thread has done.
struct Returned {
    encoder: Encoder,
    out: Vec<u8>,
    result: Result<(), BoxError>,
}

// === impl ReadAhead ===

impl ReadAhead {
    pub(crate) const fn new(body: Body) -> Self {
        Self { body, read: VecDeque::new() }
    }

    /// Reads the frames that are available now. Returns the content if that is all of it.
    ///
    /// A stream of known length may have all of its content at once. Complete bodies of other
    /// frameworks are like that, and short responses of upstreams.
    pub(crate) fn peek(body: Body, cx: &mut Context<'_>) -> Peeked {
        let (len, mut this) = (body.len(), Self::new(body));
        let Some(len) = len else { return Peeked::Stream(this) };
        let mut have = 0;
        while let Poll::Ready(polled) = Pin::new(&mut this.body).poll_frame(cx) {
            let data = polled.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            let data = data.map_or(0, |data| data.len() as u64);
            this.read.push_back(polled);
            have += data;
            if have == len && this.body.is_end_stream() {
                return Peeked::Complete(this.join());
            }
            if have >= len || data == 0 || len > MAX_COLLECTED {
                break;
            }
        }
        Peeked::Stream(this)
    }

    /// The data of all frames that were read.
    fn join(self) -> Bytes {
        let mut data = self.read.into_iter().flatten().flatten().filter_map(|frame| frame.into_data().ok());
        let first = data.next().unwrap_or_default();
        let mut rest = data.peekable();
        if rest.peek().is_none() {
            return first;
        }
        let mut whole = Vec::with_capacity(MAX_COLLECTED as usize);
        whole.extend_from_slice(&first);
        rest.for_each(|piece| whole.extend_from_slice(&piece));
        whole.into()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        match self.read.pop_front() {
            Some(polled) => Poll::Ready(polled),
            None => Pin::new(&mut self.body).poll_frame(cx),
        }
    }
}

// === impl EncodedBody ===

impl EncodedBody {
    pub(crate) fn new(inner: ReadAhead, spec: Spec, shared: Arc<Shared>) -> Self {
        let (input, out) = (Bytes::new(), Vec::new());
        Self { inner, spec, shared, state: State::Start, input, out, unflushed: false, end: None, spent: 0 }
    }

    /// Encodes `input` and does `op`, here or in a thread.
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
        if cost > BUDGET && !workers.has_no_threads() {
            let work = Work { encoder, input, op, out: std::mem::take(&mut self.out) };
            match workers.try_reserve() {
                Some(slot) => self.send_to_worker(slot, work),
                None => {
                    self.shared.overflowed.fetch_add(1, Ordering::Relaxed);
                    self.state = State::WaitingForWorker(Box::pin(workers.reserve()), work);
                }
            }
            return Ok(());
        }
        self.spent += cost;
        encoder.encode(&input, op, &mut self.out)?;
        self.resume(encoder);
        Ok(())
    }

    /// Sends work to a thread, in a slot of the queue.
    fn send_to_worker(&mut self, slot: OwnedSemaphorePermit, work: Work) {
        let (sender, receiver) = oneshot::channel();
        let Work { mut encoder, input, op, mut out } = work;
        let job = move || {
            // If the receiver is gone, the client has left.
            if !sender.is_closed() {
                let result = encoder.encode(&input, op, &mut out);
                let _ = sender.send(Returned { encoder, out, result });
            }
        };
        if let Err(job) = self.shared.workers.submit_with(slot, job) {
            // No thread could be started, so the event loop does the work.
            self.spent = BUDGET;
            job();
        }
        self.state = State::InWorker(receiver);
    }

    /// Goes on with the encoder after a piece of work.
    fn resume(&mut self, encoder: Encoder) {
        self.state = self.end.take().unwrap_or(State::Encoding(encoder));
    }

    fn output(&mut self) -> Frame<Bytes> {
        let out = std::mem::take(&mut self.out);
        // An event is small. A copy of it frees the rest of its buffer.
        Frame::data(if out.len() < out.capacity() / 2 { Bytes::copy_from_slice(&out) } else { out.into() })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        loop {
            if let State::WaitingForWorker(reservation, _) = &mut self.state {
                let slot = ready!(reservation.as_mut().poll(cx));
                if let State::WaitingForWorker(_, work) = std::mem::take(&mut self.state) {
                    self.send_to_worker(slot, work);
                }
            }
            if let State::InWorker(receiver) = &mut self.state {
                let Ok(returned) = ready!(Pin::new(receiver).poll(cx)) else {
                    return Poll::Ready(Some(Err("the thread that encoded the body has panicked".into())));
                };
                self.out = returned.out;
                returned.result?;
                self.resume(returned.encoder);
            }
            if self.spent >= BUDGET {
                self.spent = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.out.len() >= MIN_FRAME {
                return Poll::Ready(Some(Ok(self.output())));
            }
            if !self.input.is_empty() {
                let (limit, op) = match self.shared.workers.has_no_threads() {
                    true => self.spec.slice_without_workers(),
                    false => (self.spec.slice(), Op::Process),
                };
                let slice = self.input.split_to(self.input.len().min(limit));
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

impl http_body::Body for EncodedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        let this = self.get_mut();
        let polled = this.poll(cx);
        if let Poll::Ready(Some(Err(_))) = polled {
            (this.state, this.input, this.out) = (State::Done, Bytes::new(), Vec::new());
            this.inner = ReadAhead::new(Body::empty());
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
