//! [`Received`]: the body of a request as it comes on its stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Frame, SizeHint};

use super::interim::Voice;

/// What comes on a stream. One that its client resets fails: what came is not the whole.
pub(super) struct Received {
    stream: RecvStream,
    /// What is left of the length that was told.
    left: Option<u64>,
    is_read: bool,
    /// Where the client is told to go on, if it waits for that.
    awaits: Option<Arc<Voice>>,
}

// === impl Received ===

impl Received {
    pub(super) const fn new(stream: RecvStream, length: Option<u64>, awaits: Option<Arc<Voice>>) -> Self {
        Self { stream, left: length, is_read: false, awaits }
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.is_read {
            let polled = self.stream.poll_data(cx);
            // RFC 9110 §10.1.1: nothing has come, and somebody wants it.
            if polled.is_pending()
                && let Some(voice) = self.awaits.take()
            {
                voice.go_on();
            }
            match ready!(polled) {
                Some(Ok(data)) => {
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    self.stream.flow_control().release_capacity(data.len())?;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.is_read = true,
            }
        }
        self.stream.poll_trailers(cx).map(|trailers| Some(trailers.transpose()?.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
