//! [`Io`]: both directions of a connection's socket.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncReadExt;

use super::interim::InterimQueue;
use super::output::Output;
use crate::conn::Transport;
use crate::framing::Framer;
use crate::ledger::Ledger;

/// Both directions of a connection's socket, with their buffers.
#[derive(Debug)]
pub(super) struct Io<'a> {
    pub(super) transport: Transport,
    pub(super) framer: Framer,
    pub(super) output: Output,
    /// `true` once the client has closed its half.
    pub(super) ended: bool,
    pub(super) ledger: &'a Arc<Ledger>,
    pub(super) interim: &'a InterimQueue,
}

/// The room for reading, in bytes, except for bodies.
pub(super) const ROOM: usize = 4096;
/// The smallest room for reading. Memory with more room is used again, so that many small pieces
/// share it.
const MIN_ROOM: usize = 1024;

// === impl Io ===

impl Io<'_> {
    /// Reads once, into new memory of `room` bytes if the old is used up. Returns `false` at the
    /// end of the client's half.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<bool>> {
        let held = self.framer.held();
        if held.capacity() - held.len() < MIN_ROOM {
            held.reserve(room);
        }
        let n = ready!(pin!(self.transport.read_buf(held)).poll(cx))?;
        if n == 0 {
            self.ended = true;
        } else {
            self.ledger.count_read(n);
        }
        Poll::Ready(Ok(n > 0))
    }

    /// Reads a little behind the request in flight, so that a client that leaves is noticed.
    pub(super) fn read_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.ended && self.framer.len() < ROOM {
            match self.poll_fill(cx, ROOM) {
                Poll::Ready(Ok(true)) => {}
                // RFC 9112 §9.6: a client may close its half behind its last request and still wait
                // for the answer.
                Poll::Ready(Ok(false)) => self.ledger.set_half_closed(),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(&mut self.transport, cx, self.ledger)
    }

    /// Sends as much as possible without waiting.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Appends the interim responses of the request in flight to the output.
    pub(super) fn take_interim(&mut self) {
        if self.interim.is_waiting() {
            let out = self.output.gathered();
            self.interim.take(|bytes| out.extend_from_slice(bytes));
        }
    }
}
