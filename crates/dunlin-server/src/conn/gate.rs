//! [`Gate`]: what hyper reads from and writes to.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use dunlin_http::Mapped;
use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Wire;
use super::state::{Phase, Signal, State};
use crate::framing::{FrameMeter, Framer, Reject, Scan};

/// Stands between the socket and hyper. On the way in it lets through only what the [`Framer`] has checked, and keeps
/// the rest; both ways it counts, so that the reaper sees progress. When hyper lets it go, in whatever way, the socket
/// is given back through the [`State`].
#[derive(Debug)]
pub(crate) struct Gate {
    /// `None` only once it was given back.
    wire: Option<Wire>,
    state: Arc<State>,
    /// `None` where bytes are not HTTP/1.
    framer: Option<Framer>,
    /// Where they are HTTP/2.
    meter: Option<FrameMeter>,
    /// Bytes that came and were not let through, or not yet handed on.
    held: BytesMut,
    /// So many of `held` are let through.
    passed: usize,
    /// Answers to pipelined requests that go out together.
    out: BytesMut,
    end: End,
    /// The file in which the answer lies that is being written.
    mapping: Option<Arc<dyn Mapped>>,
}

/// Whether more will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It may.
    Open,
    /// The client said that it sends no more.
    Closed,
    /// What came next was no request. Nothing is let through any more.
    Rejected(Reject),
}

/// What is left of a [`Gate`].
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) wire: Wire,
    /// What was read and not handed on.
    pub(crate) held: BytesMut,
    pub(crate) end: End,
    /// Whether the client was in the middle of a body.
    pub(crate) in_body: bool,
}

/// The most that is kept back for one write.
const MAX_BATCH: usize = 16 << 10;
/// The most that is read ahead of an answer that decides what it means.
const MAX_UNDECIDED: usize = 64 << 10;

// === impl Gate ===

impl Gate {
    /// A gate for HTTP/1, `held` having been read already.
    pub(crate) fn new(wire: Wire, held: BytesMut, framer: Framer, state: Arc<State>) -> Self {
        let mut gate = Self {
            wire: Some(wire),
            state,
            framer: Some(framer),
            meter: None,
            held,
            passed: 0,
            out: BytesMut::new(),
            end: End::Open,
            mapping: None,
        };
        if !gate.held.is_empty() {
            gate.passed = gate.judge(0, None);
        }
        gate
    }

    /// A gate for HTTP/2, which hyper checks by itself.
    pub(crate) fn opaque(wire: Wire, held: BytesMut, meter: FrameMeter, state: Arc<State>) -> Self {
        let passed = held.len();
        let mut gate = Self {
            wire: Some(wire),
            state,
            framer: None,
            meter: None,
            held,
            passed,
            out: BytesMut::new(),
            end: End::Open,
            mapping: None,
        };
        let mut meter = meter;
        gate.meter = meter.scan(&gate.held, gate.state.ticks.now()).then_some(meter);
        gate
    }

    /// Judges `held`, of which the first `seen` bytes were judged before, or `fresh` bytes that were read elsewhere.
    fn judge(&mut self, seen: usize, fresh: Option<&[u8]>) -> usize {
        let bytes = fresh.unwrap_or(&self.held);
        let len = bytes.len();
        let Some(framer) = &mut self.framer else { return len };
        let Scan { mut passed, mut reject } = framer.scan(bytes, seen);
        if fresh.is_none() {
            while let Some(at) = framer.take_later_minor() {
                self.held[passed + at] = b'1';
                let rest = framer.scan(&self.held[passed..], 0);
                (passed, reject) = (passed + rest.passed, rest.reject);
            }
        }
        if let Some(reject) = reject {
            self.end = End::Rejected(reject);
            self.state.rejected.store(true, Relaxed);
        }
        self.state.set_phase(match () {
            () if framer.in_body() => Phase::Body,
            () if passed < len && !framer.is_undecided() => Phase::Head,
            () => Phase::Between,
        });
        self.state.expects.store(framer.expects(), Relaxed);
        self.state.set_heads(framer.heads());
        passed
    }

    /// After the answer to a request for an upgrade: is what follows a tunnel, or HTTP as before?
    fn decide(&mut self) {
        let Some(framer) = &mut self.framer else { return };
        if !framer.is_undecided() {
            return;
        }
        if self.state.tunnel.load(Relaxed) {
            self.framer = None;
            self.passed = self.held.len();
            self.state.set_phase(Phase::Opaque);
        } else if self.state.under_way() == 0 && self.state.called() >= framer.heads() {
            framer.decline_upgrade();
            self.state.undecided.store(false, Relaxed);
            self.passed = self.judge(0, None);
        } else {
            self.state.undecided.store(true, Relaxed);
        }
    }

    /// Reads straight into hyper's buffer, which is the usual case: one read, nothing held.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBufCursor<'_>) -> Poll<io::Result<bool>> {
        let Some(wire) = &mut self.wire else { return Poll::Ready(Ok(true)) };
        // SAFETY: `ReadBuf::uninit` never de-initialises what is initialised.
        let mut own = ReadBuf::uninit(unsafe { buf.as_mut() });
        if Pin::new(wire).poll_read(cx, &mut own)?.is_pending() {
            self.state.wants_read.store(true, Relaxed);
            return Poll::Pending;
        }
        self.state.wants_read.store(false, Relaxed);
        let filled = own.filled();
        if filled.is_empty() {
            self.end = End::Closed;
            return Poll::Ready(Ok(false));
        }
        self.state.count_read(filled.len());
        if let Some(meter) = &mut self.meter
            && !meter.scan(filled, self.state.ticks.now())
        {
            self.state.signal(Signal::Cut);
        }
        let passed = if self.framer.is_some() { self.judge(0, Some(filled)) } else { filled.len() };
        if passed < filled.len() {
            self.held.extend_from_slice(&filled[passed..]);
            if self.framer.as_ref().is_some_and(Framer::is_later_minor) {
                self.passed = self.judge(0, None);
            }
        }
        // SAFETY: `own` filled the first `filled.len()` bytes of the cursor, and `passed` is at most that.
        unsafe { buf.advance(passed) };
        Poll::Ready(Ok(passed > 0))
    }

    /// Reads behind what is held.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(wire) = &mut self.wire else { return Poll::Ready(Ok(())) };
        let seen = self.held.len();
        self.held.reserve(4096);
        let mut own = ReadBuf::uninit(self.held.spare_capacity_mut());
        if Pin::new(wire).poll_read(cx, &mut own)?.is_pending() {
            self.state.wants_read.store(true, Relaxed);
            return Poll::Pending;
        }
        self.state.wants_read.store(false, Relaxed);
        let n = own.filled().len();
        // SAFETY: the read filled `n` bytes right behind the first `seen`.
        unsafe { self.held.set_len(seen + n) };
        if n == 0 {
            self.end = End::Closed;
            return Poll::Ready(Ok(()));
        }
        self.state.count_read(n);
        self.passed = self.judge(seen, None);
        Poll::Ready(Ok(()))
    }

    /// Whether the client waits for an answer to a request that came in full.
    fn owes_answer(&self) -> bool {
        let complete = self.framer.as_ref().is_some_and(|framer| !framer.in_body());
        complete && !self.state.is_settled()
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.state.wants_write.store(true, Relaxed),
            Poll::Ready(Ok(n)) => {
                self.state.wants_write.store(false, Relaxed);
                self.state.count_written(*n);
            }
            Poll::Ready(Err(_)) => {}
        }
        written
    }

    /// Whether the next answer is already on its way to hyper's write buffer: nothing waits, and more will be written.
    fn is_batching(&self) -> bool {
        self.state.called() < self.state.heads() && self.state.under_way() == 0
    }

    /// Keeps small writes back while there are more answers to come; whether these were.
    fn batch(&mut self, bufs: &[IoSlice<'_>]) -> Option<usize> {
        if self.out.is_empty() && !self.is_batching() {
            return None;
        }
        let len = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if self.out.len() + len > MAX_BATCH {
            return None;
        }
        for buf in bufs {
            self.out.extend_from_slice(buf);
        }
        Some(len)
    }

    /// Writes what was kept back.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let Some(wire) = &mut self.wire else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
            let written = Pin::new(wire).poll_write(cx, &self.out);
            let n = ready!(self.wrote(written))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(n);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes up what goes before the response that is worked at. All that hyper has written is in `out` by now, or gone.
    fn take_interim(&mut self, cx: &Context<'_>) {
        let out = &mut self.out;
        self.state.interim.take(|bytes| out.extend_from_slice(bytes));
        if !self.state.interim.is_open() {
            // The final response waits for this.
            cx.waker().wake_by_ref();
        }
    }

    /// How much may be written now; pending when it is the others' turn.
    fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let turn = self.state.outgoing.poll_turn(cx);
        if turn.is_pending() {
            self.state.wants_write.store(true, Relaxed);
        }
        turn
    }

    fn wire(&mut self) -> io::Result<Pin<&mut Wire>> {
        self.wire.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl hyper::rt::Read for Gate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            this.decide();
            if this.passed > 0 {
                let n = this.passed.min(buf.remaining());
                buf.put_slice(&this.held[..n]);
                this.held.advance(n);
                this.passed -= n;
                return Poll::Ready(Ok(()));
            }
            match this.end {
                End::Open => {}
                // RFC 9112 §9.6: a client may close its half behind its last request and still wait for the answer.
                End::Closed if this.owes_answer() => {
                    this.state.half_closed.store(true, Relaxed);
                    this.state.undecided.store(true, Relaxed);
                    return Poll::Pending;
                }
                End::Closed => return Poll::Ready(Ok(())),
                // A body that breaks off is the handler's to answer. Between requests hyper is told to stop instead
                // (see `http1`), so that what came before is answered in full.
                End::Rejected(reject) if this.framer.as_ref().is_some_and(Framer::in_body) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, reject.detail)));
                }
                End::Rejected(_) => return Poll::Pending,
            }
            if this.state.body_timed_out.load(Relaxed) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if this.held.is_empty() {
                if ready!(this.poll_direct(cx, &mut buf))? {
                    return Poll::Ready(Ok(()));
                }
            } else if this.held.len() > MAX_UNDECIDED && this.framer.as_ref().is_some_and(Framer::is_undecided) {
                return Poll::Pending;
            } else {
                ready!(this.poll_held(cx))?;
            }
        }
    }
}

impl hyper::rt::Write for Gate {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(len) = this.batch(&[IoSlice::new(buf)]) {
            return Poll::Ready(Ok(len));
        }
        ready!(this.poll_out(cx))?;
        let most = ready!(this.poll_turn(cx)).min(buf.len());
        let written = this.wire()?.poll_write(cx, &buf[..most]);
        this.wrote(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(len) = this.batch(bufs) {
            return Poll::Ready(Ok(len));
        }
        ready!(this.poll_out(cx))?;
        let most = ready!(this.poll_turn(cx));
        if let Some(mapping) = this.state.outgoing.take_offered() {
            this.mapping = Some(mapping);
        }
        let Some(wire) = &mut this.wire else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let written = Pin::new(wire).poll_send(cx, bufs, this.mapping.as_deref(), most);
        this.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.interim.is_waiting() {
            this.take_interim(cx);
        }
        if !this.out.is_empty() && !this.is_batching() {
            ready!(this.poll_out(cx))?;
        }
        // hyper has written all that it had.
        this.mapping = None;
        drop(this.state.outgoing.take_offered());
        this.wire()?.poll_flush(cx)
    }

    /// Closes nothing: whoever takes the socket back knows whether to, and how.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        this.wire()?.poll_flush(cx)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let Some(wire) = self.wire.take() else { return };
        let in_body = self.framer.as_ref().is_some_and(Framer::in_body);
        self.state.give_back(Returned { wire, held: std::mem::take(&mut self.held), end: self.end, in_body });
    }
}
