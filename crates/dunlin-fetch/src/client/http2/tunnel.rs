//! [`Http2Tunnel`]: a stream as a pair of byte streams.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Slot;

/// A stream as a pair of byte streams.
pub(crate) struct Http2Tunnel {
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    /// Bytes that have arrived and were not read.
    rest: Bytes,
    _slot: Slot,
}

// === impl Http2Tunnel ===

impl Http2Tunnel {
    pub(super) const fn new(sender: SendStream<Bytes>, receiver: RecvStream, slot: Slot) -> Self {
        Self { sender, receiver, rest: Bytes::new(), _slot: slot }
    }
}

impl AsyncRead for Http2Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            match ready!(this.receiver.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(data)) => {
                    let _ = this.receiver.flow_control().release_capacity(data.len());
                    this.rest = data;
                }
                Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let len = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest[..len]);
        this.rest.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.sender.reserve_capacity(buf.len());
        loop {
            let room = self.sender.capacity();
            if room > 0 {
                let len = room.min(buf.len());
                let sent = self.sender.send_data(Bytes::copy_from_slice(&buf[..len]), false);
                return Poll::Ready(sent.map(|()| len).map_err(io::Error::other));
            }
            match ready!(self.sender.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A stream that has been reset takes no end.
        let _ = self.sender.send_data(Bytes::new(), true);
        Poll::Ready(Ok(()))
    }
}
