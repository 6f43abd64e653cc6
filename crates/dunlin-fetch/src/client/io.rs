//! [`OriginIo`]: the socket of a connection, which records reads and hides failed writes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that records whether any byte arrived, and that hides failed writes.
///
/// RFC 9112 §9.5: a server may respond to an upload early and close. Later writes fail, but the
/// response may have arrived. So a failed write stays pending and nothing more is written. The read
/// side ends the connection, with the response or without.
pub(super) struct OriginIo<T> {
    io: T,
    has_read: Arc<AtomicBool>,
    /// `true` if failed writes are hidden.
    hides: bool,
    /// `true` once a write has failed because the peer has closed.
    is_write_closed: bool,
}

fn has_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

// === impl OriginIo ===

impl<T> OriginIo<T> {
    /// Wraps `io`. Each byte that arrives sets `has_read`.
    pub(super) const fn new(io: T, has_read: Arc<AtomicBool>) -> Self {
        Self { io, has_read, hides: true, is_write_closed: false }
    }

    /// As [`OriginIo::new`], for a protocol that must know of failed writes.
    pub(super) const fn plain(io: T, has_read: Arc<AtomicBool>) -> Self {
        Self { io, has_read, hides: false, is_write_closed: false }
    }

    /// Leaves a failed write pending if the peer has closed.
    fn after_write<R>(&mut self, polled: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        match polled {
            Poll::Ready(Err(error)) if self.hides && has_closed(&error) => {
                self.is_write_closed = true;
                Poll::Pending
            }
            polled => polled,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for OriginIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.has_read.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for OriginIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_write_closed {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.after_write(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_write_closed {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.after_write(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_write_closed {
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.after_write(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_write_closed {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
