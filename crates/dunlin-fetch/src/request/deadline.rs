//! [`Deadline`]: a body that has to end by a point in time.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BodyError, BoxError};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// A body that fails with [`BodyError::Timeout`] if it has not ended in time.
pub(super) struct Deadline {
    body: Body,
    sleep: Pin<Box<Sleep>>,
}

// === impl Deadline ===

impl Deadline {
    pub(super) fn new(body: Body, at: Instant) -> Self {
        Self { body, sleep: Box::pin(tokio::time::sleep_until(at)) }
    }
}

impl http_body::Body for Deadline {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.sleep.as_mut().poll(cx).is_ready() {
            // Dropping the body closes its connection.
            self.body = Body::empty();
            return Poll::Ready(Some(Err(BodyError::Timeout.into())));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
