//! [`Output`]: the bytes on their way to the socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use dunlin_http::{Body, Mapped};
use smallvec::SmallVec;
use tokio::io::AsyncWrite;

use crate::conn::Transport;
use crate::ledger::Ledger;

/// The bytes on their way to the socket: gathered ones, and behind them at most one piece of
/// content that is sent without a copy.
#[derive(Debug, Default)]
pub(super) struct Output {
    gathered: Vec<u8>,
    /// The number of bytes of `gathered` that are sent.
    sent: usize,
    piece: Bytes,
    /// The file in which `piece` lies.
    mapping: Option<Arc<dyn Mapped>>,
    /// The bytes behind the piece.
    behind: &'static [u8],
    /// `true` if TLS may still hold bytes.
    unflushed: bool,
}

/// The largest piece that is copied, because another slice would cost the kernel more.
const MAX_COPIED: usize = 8192;
/// The bytes that are gathered before they are sent.
const MAX_GATHERED: usize = 16 << 10;
/// The smallest piece of a file that the kernel sends by itself.
const MIN_MAPPED: usize = 16 << 10;

// === impl Output ===

impl Output {
    fn is_written(&self) -> bool {
        self.gathered.is_empty() && self.piece.is_empty()
    }

    /// Returns `true` if more may be added without sending first.
    pub(super) fn has_room(&self) -> bool {
        self.piece.is_empty() && self.gathered.len() < MAX_GATHERED
    }

    /// The gathered bytes, to append to. Valid only while there [is room](Self::has_room).
    pub(super) const fn gathered(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.piece.is_empty(), "gathered bytes would precede the piece");
        &mut self.gathered
    }

    /// Adds content. Returns `false` if it is not complete.
    pub(super) fn push_body(&mut self, body: &mut Body) -> bool {
        match body.as_bytes() {
            None => return false,
            Some(bytes) if bytes.len() <= MAX_COPIED => self.gathered().extend_from_slice(bytes),
            Some(bytes) => {
                let mapping = body.mapping().filter(|_| bytes.len() >= MIN_MAPPED).cloned();
                self.piece = std::mem::take(body).try_into_bytes().unwrap_or_default();
                self.mapping = mapping;
            }
        }
        true
    }

    /// Adds a piece of content.
    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.len() <= MAX_COPIED {
            self.gathered().extend_from_slice(&piece);
        } else {
            self.piece = piece;
        }
    }

    /// Adds a chunk of the chunked coding (RFC 9112 §7.1).
    pub(super) fn push_chunk(&mut self, data: Bytes) {
        use std::io::Write as _;
        let _ = write!(self.gathered(), "{:x}\r\n", data.len());
        self.push(data);
        if self.piece.is_empty() {
            self.gathered.extend_from_slice(b"\r\n");
        } else {
            self.behind = b"\r\n";
        }
    }

    /// Frees the memory if everything is sent.
    pub(super) fn park(&mut self) {
        if self.is_written() && !self.unflushed {
            *self = Self::default();
        }
    }

    /// Sends everything.
    pub(super) fn poll_flush(
        &mut self,
        transport: &mut Transport,
        cx: &mut Context<'_>,
        ledger: &Ledger,
    ) -> Poll<io::Result<()>> {
        if self.is_written() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        while !self.is_written() {
            let written = match ledger.budget().poll(cx) {
                Poll::Ready(limit) => self.poll_write(transport, cx, limit),
                Poll::Pending => Poll::Pending,
            };
            if written.is_pending() {
                ledger.set_waits_to_write(true);
            }
            let n = ready!(written)?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            ledger.count_written(n);
            self.advance(n);
            self.unflushed = true;
        }
        let flushed = Pin::new(transport).poll_flush(cx);
        ledger.set_waits_to_write(flushed.is_pending());
        ready!(flushed)?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, transport: &mut Transport, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<usize>> {
        let transport = Pin::new(transport);
        if self.piece.is_empty() {
            return transport.poll_write(cx, &self.gathered[self.sent..]);
        }
        let slices = [&self.gathered[self.sent..], &self.piece, self.behind].map(IoSlice::new);
        let slices: SmallVec<[IoSlice<'_>; 3]> = slices.into_iter().filter(|slice| !slice.is_empty()).collect();
        transport.poll_send(cx, &slices, self.mapping.as_deref(), limit)
    }

    fn advance(&mut self, mut n: usize) {
        let gathered = (self.gathered.len() - self.sent).min(n);
        self.sent += gathered;
        n -= gathered;
        if self.sent < self.gathered.len() {
            return;
        }
        self.gathered.clear();
        self.sent = 0;
        let piece = self.piece.len().min(n);
        self.piece.advance(piece);
        self.behind = &self.behind[n - piece..];
        if self.piece.is_empty() {
            self.piece = Bytes::new();
            self.mapping = None;
            self.gathered.extend_from_slice(std::mem::take(&mut self.behind));
        }
    }
}
