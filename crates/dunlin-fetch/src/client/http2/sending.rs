//! [`Sending`]: the body of a request on its way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;

use crate::client::request_body::RequestBody;

/// The window that is requested at once, in bytes.
const MOST: usize = 64 << 10;

/// The body of a request on its way, at the pace of the origin. It ends with the body, or when the
/// origin no longer wants the rest.
pub(super) struct Sending {
    body: RequestBody,
    stream: SendStream<Bytes>,
    /// Data that waits for the window.
    data: Bytes,
}

/// The end of a stream that takes no more.
struct Gone;

// === impl Sending ===

impl Sending {
    pub(super) const fn new(body: RequestBody, stream: SendStream<Bytes>) -> Self {
        Self { body, stream, data: Bytes::new() }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        loop {
            while !self.data.is_empty() {
                self.stream.reserve_capacity(self.data.len().min(MOST));
                let room = ready!(self.poll_room(cx))?;
                let piece = self.data.split_to(room.min(self.data.len()));
                self.give(piece, false)?;
            }
            if self.body.is_end_stream() {
                return Poll::Ready(self.give(Bytes::new(), true));
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                return self.stream.poll_reset(cx).map(|_| Err(Gone));
            };
            match frame {
                None => return Poll::Ready(self.give(Bytes::new(), true)),
                Some(Err(_)) => {
                    // The origin must not take the body for complete.
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(Gone));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.data = data,
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            return Poll::Ready(self.stream.send_trailers(trailers).map_err(|_| Gone));
                        }
                    }
                },
            }
        }
    }

    fn give(&mut self, data: Bytes, ends: bool) -> Result<(), Gone> {
        self.stream.send_data(data, ends).map_err(|_| Gone)
    }

    /// Polls the window, in bytes.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Gone>> {
        loop {
            let room = self.stream.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return Poll::Ready(Err(Gone)),
                Poll::Pending => return self.stream.poll_reset(cx).map(|_| Err(Gone)),
            }
        }
    }
}

impl Future for Sending {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_send(cx).map(drop)
    }
}
