//! [`Gate`]: what h2 and hyper read from and write to.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Wire;
use super::state::State;
use crate::framing::{Fault, FrameMeter};

/// Stands between the socket and h2, or hyper, and counts both ways, so that the reaper sees progress. When they let it
/// go, in whatever way, the socket is given back through the [`State`].
#[derive(Debug)]
pub(crate) struct Gate {
    /// `None` only once it was given back.
    wire: Option<Wire>,
    state: Arc<State>,
    /// What hyper reads first.
    head: Bytes,
    /// What came behind it.
    held: BytesMut,
    /// Whether nothing more is let through unless the connection becomes a tunnel.
    undecided: bool,
    /// Where the bytes are frames of HTTP/2.
    meter: Option<FrameMeter>,
    /// What is wrong with them. Nothing is let through any more.
    fault: Option<Fault>,
}

/// What is left of a [`Gate`].
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) wire: Wire,
    /// What was read and not handed on.
    pub(crate) held: BytesMut,
    /// What the client did wrong with its frames.
    pub(crate) fault: Option<Fault>,
}

// === impl Gate ===

impl Gate {
    /// A gate for HTTP/2, of which `held` came already.
    pub(super) fn http2(wire: Wire, held: BytesMut, mut meter: FrameMeter, state: Arc<State>) -> Self {
        let fault = meter.scan(&held, state.ticks.now()).err();
        Self { wire: Some(wire), state, head: Bytes::new(), held, undecided: false, meter: Some(meter), fault }
    }

    /// A gate for the request of this `head`, which asks for an upgrade. What follows is for the other protocol, or
    /// else not for hyper.
    pub(super) const fn undecided(wire: Wire, head: Bytes, held: BytesMut, state: Arc<State>) -> Self {
        Self { wire: Some(wire), state, head, held, undecided: true, meter: None, fault: None }
    }

    fn wire(&mut self) -> io::Result<Pin<&mut Wire>> {
        self.wire.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
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

    /// How much may be written now; pending when it is the others' turn.
    fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let turn = self.state.turn.poll(cx);
        if turn.is_pending() {
            self.state.wants_write.store(true, Relaxed);
        }
        turn
    }
}

/// Moves what fits from `from` into `to`.
fn hand_on<B: Buf + AsRef<[u8]>>(from: &mut B, to: &mut ReadBuf<'_>) {
    let n = from.remaining().min(to.remaining());
    to.put_slice(&from.as_ref()[..n]);
    from.advance(n);
}

impl AsyncRead for Gate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.fault.is_some() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if !this.head.is_empty() {
            hand_on(&mut this.head, buf);
            return Poll::Ready(Ok(()));
        }
        // Once it is decided, the tunnel begins with a read of its own.
        if this.undecided && !this.state.tunnel.load(Relaxed) {
            return Poll::Pending;
        }
        if !this.held.is_empty() {
            hand_on(&mut this.held, buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if this.wire()?.poll_read(cx, buf)?.is_pending() {
            this.state.wants_read.store(true, Relaxed);
            return Poll::Pending;
        }
        this.state.wants_read.store(false, Relaxed);
        let filled = &buf.filled()[before..];
        this.state.count_read(filled.len());
        if let Some(meter) = &mut this.meter
            && let Err(fault) = meter.scan(filled, this.state.ticks.now())
        {
            this.fault = Some(fault);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gate {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
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
        let most = ready!(this.poll_turn(cx));
        let written = this.wire()?.poll_send(cx, bufs, None, most);
        this.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().wire()?.poll_flush(cx)
    }

    /// Closes nothing: whoever takes the socket back knows whether to, and how.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl hyper::rt::Read for Gate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        // SAFETY: `ReadBuf::uninit` never de-initialises what is initialised.
        let mut own = ReadBuf::uninit(unsafe { buf.as_mut() });
        ready!(AsyncRead::poll_read(self, cx, &mut own))?;
        let n = own.filled().len();
        // SAFETY: `own` filled the first `n` bytes of the cursor.
        unsafe { buf.advance(n) };
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Gate {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self, cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write_vectored(self, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(self, cx)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let Some(wire) = self.wire.take() else { return };
        let held = std::mem::take(&mut self.held);
        self.state.give_back(Returned { wire, held, fault: self.fault });
    }
}
