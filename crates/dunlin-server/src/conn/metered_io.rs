//! [`MeteredIo`]: the socket as h2 and hyper see it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Transport;
use crate::framing::{Fault, FrameMeter};
use crate::ledger::{Ledger, Phase, Signal};

/// The socket as h2 and hyper see it. It counts both directions in the [`Ledger`], so that the
/// reaper sees progress, and gives the socket back through a [`Handback`] when it is dropped.
#[derive(Debug)]
pub(crate) struct MeteredIo {
    /// `None` only after it was given back.
    transport: Option<Transport>,
    ledger: Arc<Ledger>,
    handback: Arc<Handback>,
    /// Bytes that were read before.
    held: BytesMut,
    protocol: Protocol,
}

/// The protocol that the bytes belong to.
#[derive(Debug)]
enum Protocol {
    Http2 {
        meter: FrameMeter,
        /// The reason why nothing is read any more.
        fault: Option<Fault>,
    },
    /// A request for another protocol, and the tunnel after it.
    Upgrade {
        /// The head that hyper reads. Nothing behind it is read unless the request is answered with
        /// 101.
        head: Bytes,
    },
}

/// The place where a [`MeteredIo`] leaves its socket.
#[derive(Debug, Default)]
pub(crate) struct Handback {
    returned: Mutex<Option<Returned>>,
    /// The tasks that read from and write to a tunnel.
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// The rest of a [`MeteredIo`].
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) transport: Transport,
    /// Bytes that were read and not passed on.
    pub(crate) held: BytesMut,
    /// The client's violation of HTTP/2, if there was one.
    pub(crate) fault: Option<Fault>,
}

// === impl Handback ===

impl Handback {
    /// Takes the socket, if it was given back.
    pub(crate) fn take(&self) -> Option<Returned> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Wakes the tasks of a tunnel, which see the connection's signal then.
    pub(crate) fn wake(&self) {
        self.reader.wake();
        self.writer.wake();
    }
}

// === impl MeteredIo ===

impl MeteredIo {
    /// The socket of an HTTP/2 connection, from which `held` was read already.
    pub(super) fn http2(
        transport: Transport,
        held: BytesMut,
        mut meter: FrameMeter,
        ledger: Arc<Ledger>,
    ) -> (Self, Arc<Handback>) {
        let fault = meter.scan(&held, ledger.ticks().now(), 0).err();
        Self::new(transport, held, Protocol::Http2 { meter, fault }, ledger)
    }

    /// The socket of a request for another protocol. The bytes `held` came behind its `head`.
    pub(super) fn upgrade(
        transport: Transport,
        head: Bytes,
        held: BytesMut,
        ledger: Arc<Ledger>,
    ) -> (Self, Arc<Handback>) {
        Self::new(transport, held, Protocol::Upgrade { head }, ledger)
    }

    fn new(transport: Transport, held: BytesMut, protocol: Protocol, ledger: Arc<Ledger>) -> (Self, Arc<Handback>) {
        let handback = Arc::<Handback>::default();
        let io = Self { transport: Some(transport), ledger, handback: handback.clone(), held, protocol };
        (io, handback)
    }

    fn transport(&mut self) -> io::Result<Pin<&mut Transport>> {
        self.transport.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn is_tunnel(&self) -> bool {
        matches!(self.protocol, Protocol::Upgrade { .. }) && self.ledger.phase() == Phase::Tunnel
    }

    /// Passes on bytes that were read before. Returns `None` if the socket is to be read.
    fn poll_held(&mut self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Option<Poll<io::Result<()>>> {
        let is_tunnel = self.is_tunnel();
        match &mut self.protocol {
            Protocol::Http2 { fault: Some(_), .. } => return Some(Poll::Ready(Err(io::ErrorKind::InvalidData.into()))),
            Protocol::Http2 { .. } => {}
            Protocol::Upgrade { head } if !head.is_empty() => {
                pass_on(head, buf);
                return Some(Poll::Ready(Ok(())));
            }
            // The handler of a tunnel begins with a read, so there is no task to wake.
            Protocol::Upgrade { .. } if !is_tunnel => return Some(Poll::Pending),
            Protocol::Upgrade { .. } => {
                self.handback.reader.register(cx.waker());
                match self.ledger.signalled() {
                    Signal::Cut => return Some(Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))),
                    // The handler reads an end, so that it ends the tunnel.
                    Signal::Close | Signal::HeadTimeout => return Some(Poll::Ready(Ok(()))),
                    Signal::None | Signal::Park | Signal::Drain => {}
                }
            }
        }
        if self.held.is_empty() {
            return None;
        }
        pass_on(&mut self.held, buf);
        Some(Poll::Ready(Ok(())))
    }

    /// Polls the number of bytes that may be written now.
    fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_tunnel() {
            self.handback.writer.register(cx.waker());
            if self.ledger.signalled() == Signal::Cut {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        let budget = self.ledger.budget().poll(cx);
        if budget.is_pending() {
            self.ledger.set_waits_to_write(true);
        }
        budget.map(Ok)
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.ledger.set_waits_to_write(true),
            Poll::Ready(Ok(n)) => {
                self.ledger.count_written(*n);
                self.ledger.set_waits_to_write(false);
            }
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

/// Moves bytes from `from` into `to`, up to its room.
fn pass_on<B: Buf + AsRef<[u8]>>(from: &mut B, to: &mut ReadBuf<'_>) {
    let n = from.remaining().min(to.remaining());
    to.put_slice(&from.as_ref()[..n]);
    from.advance(n);
}

impl AsyncRead for MeteredIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(polled) = this.poll_held(cx, buf) {
            return polled;
        }
        let before = buf.filled().len();
        if this.transport()?.poll_read(cx, buf)?.is_pending() {
            this.ledger.set_waits_to_read(true);
            return Poll::Pending;
        }
        this.ledger.set_waits_to_read(false);
        let filled = &buf.filled()[before..];
        this.ledger.count_read(filled.len());
        if let Protocol::Http2 { meter, fault } = &mut this.protocol {
            *fault = meter.scan(filled, this.ledger.ticks().now(), this.ledger.bytes().1).err();
            if fault.is_some() {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MeteredIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let limit = ready!(this.poll_budget(cx))?.min(buf.len());
        let written = this.transport()?.poll_write(cx, &buf[..limit]);
        this.count(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let limit = ready!(this.poll_budget(cx))?;
        let written = this.transport()?.poll_send(cx, bufs, None, limit);
        this.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().transport()?.poll_flush(cx)
    }

    /// Closes the server's half of a tunnel, so that the client sees its end. Anything else is only
    /// flushed: the connection takes the socket back, and decides when and how to close it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_tunnel() { this.transport()?.poll_shutdown(cx) } else { this.transport()?.poll_flush(cx) }
    }
}

impl hyper::rt::Read for MeteredIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        // SAFETY: `ReadBuf::uninit` de-initialises nothing.
        let mut own = ReadBuf::uninit(unsafe { buf.as_mut() });
        ready!(AsyncRead::poll_read(self, cx, &mut own))?;
        let n = own.filled().len();
        // SAFETY: the first `n` bytes of the cursor were filled through `own`.
        unsafe { buf.advance(n) };
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for MeteredIo {
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

impl Drop for MeteredIo {
    fn drop(&mut self) {
        let Some(transport) = self.transport.take() else { return };
        let fault = match &self.protocol {
            Protocol::Http2 { fault, .. } => *fault,
            Protocol::Upgrade { .. } => None,
        };
        let held = std::mem::take(&mut self.held);
        let mut place = self.handback.returned.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Returned { transport, held, fault });
        drop(place);
        if self.is_tunnel() {
            self.ledger.wake();
        }
    }
}
