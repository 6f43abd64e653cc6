//! [`Inbound`]: the body of a request as handlers read it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BodyError, BoxError};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::state::State;

/// The body of a request: bounded, and with errors that say what a server answers.
pub(crate) struct Inbound {
    incoming: Incoming,
    left: u64,
    limit: u64,
    state: Arc<State>,
    /// Whether this is counted among the bodies that are waited for.
    waiting: bool,
}

// === impl Inbound ===

impl Inbound {
    /// An empty body stays empty, and costs nothing.
    pub(crate) fn wrap(incoming: Incoming, limit: u64, state: &Arc<State>) -> Body {
        if incoming.is_end_stream() {
            return Body::empty();
        }
        Body::new(Self { incoming, left: limit, limit, state: state.clone(), waiting: false })
    }

    /// Counts this among the bodies that a handler waits for, or no more.
    fn wait(&mut self, waiting: bool) {
        if waiting != self.waiting {
            self.waiting = waiting;
            let count = &self.state.waiting_bodies;
            if waiting {
                count.fetch_add(1, Relaxed)
            } else {
                count.fetch_sub(1, Relaxed)
            };
        }
    }
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        self.wait(polled.is_pending());
        let frame = match ready!(polled) {
            Some(Ok(frame)) => frame,
            Some(Err(_)) if self.state.body_timed_out.load(Relaxed) => {
                return Poll::Ready(Some(Err(BodyError::Timeout.into())));
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Other(error.into()).into()))),
            None => return Poll::Ready(None),
        };
        let len = frame.data_ref().map_or(0, Bytes::len) as u64;
        if len > self.left {
            self.left = 0;
            return Poll::Ready(Some(Err(BodyError::TooLarge { limit: self.limit }.into())));
        }
        self.left -= len;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.wait(false);
    }
}
