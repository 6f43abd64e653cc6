//! [`Limited`]: a body with a limit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};

use super::{Body, BodyError, BoxError};

/// A body that fails with [`BodyError::TooLarge`] after `limit` bytes.
#[derive(Debug)]
pub struct Limited {
    inner: Body,
    left: u64,
    limit: u64,
}

// === impl Limited ===

impl Limited {
    /// Limits `inner` to `limit` bytes of data.
    #[must_use]
    pub const fn new(inner: Body, limit: u64) -> Self {
        Self { inner, left: limit, limit }
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        let len = frame.data_ref().map_or(0, Bytes::len) as u64;
        if len > self.left {
            self.inner = Body::empty();
            self.left = 0;
            return Poll::Ready(Some(Err(BodyError::TooLarge { limit: self.limit }.into())));
        }
        self.left -= len;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Reads a stream to its end, and fails as soon as it exceeds the limit.
pub(super) async fn collect<B>(mut body: Pin<Box<B>>, limit: usize) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + ?Sized,
{
    let too_large = || BodyError::TooLarge { limit: limit as u64 };
    let hint = body.size_hint();
    if hint.lower() > limit as u64 {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(data) = frame.map_err(BodyError::from_boxed)?.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return Err(too_large());
        }
        if all.is_empty() && first.is_empty() {
            first = data; // One frame is the usual case, and needs no copy.
        } else {
            if all.is_empty() {
                all.reserve((hint.lower() as usize).min(limit).max(first.len() + data.len()));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
