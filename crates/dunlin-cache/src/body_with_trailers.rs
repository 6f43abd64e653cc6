//! [`BodyWithTrailers`].

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

/// A stored body with its trailers. It has no exact length, because HTTP/1.1 sends trailers only
/// with a chunked body.
#[derive(Debug)]
pub(crate) struct BodyWithTrailers {
    bytes: Bytes,
    trailers: Option<HeaderMap>,
}

// === impl BodyWithTrailers ===

impl BodyWithTrailers {
    pub(crate) const fn new(bytes: Bytes, trailers: HeaderMap) -> Self {
        Self { bytes, trailers: Some(trailers) }
    }
}

impl http_body::Body for BodyWithTrailers {
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
