//! [`Trailed`]: bytes in memory, and what comes after them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

/// A stored body with its trailers. It tells no length, for then no connection of HTTP/1.1 could
/// carry them.
#[derive(Debug)]
pub(crate) struct Trailed {
    bytes: Bytes,
    trailers: Option<HeaderMap>,
}

// === impl Trailed ===

impl Trailed {
    pub(crate) const fn new(bytes: Bytes, trailers: HeaderMap) -> Self {
        Self { bytes, trailers: Some(trailers) }
    }
}

impl http_body::Body for Trailed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.bytes.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes)))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none()
    }
}
