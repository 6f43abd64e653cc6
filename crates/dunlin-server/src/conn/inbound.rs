//! [`Inbound`]: the body of a request as handlers read it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BodyError, BoxError};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::state::{Phase, State};
use super::streams::Awaited;

/// The body of a request: bounded, and with errors that say what a server answers.
pub(crate) struct Inbound {
    /// `None` once it ended or failed.
    incoming: Option<Incoming>,
    left: u64,
    limit: u64,
    state: Arc<State>,
    /// Which request of the connection it belongs to.
    number: u64,
    /// Whether the client waits for leave to send it (RFC 9110 §10.1.1).
    asks: bool,
    /// Once it was waited for, on a stream of HTTP/2. On HTTP/1 the gate sees how it comes.
    awaited: Option<Arc<Awaited>>,
}

/// So much of a body that no handler wants is read all the same, so that the connection can go on.
const MAX_UNWANTED: u64 = 64 << 10;

// === impl Inbound ===

impl Inbound {
    /// An empty body stays empty, and costs nothing. `asks` tells whether the client waits for leave to send it.
    pub(crate) fn wrap(incoming: Incoming, limit: u64, asks: bool, state: &Arc<State>) -> Body {
        if incoming.is_end_stream() {
            return Body::empty();
        }
        let (state, number) = (state.clone(), state.called());
        Body::new(Self { incoming: Some(incoming), left: limit, limit, state, number, asks, awaited: None })
    }

    /// What no handler wants to read: reads it where that is little, so that the connection can go on. Where it is not,
    /// or nobody knows, hyper closes the connection after the answer, which is to say so (RFC 9112 §9.6).
    fn leave(&self, incoming: Incoming) {
        if self.state.phase() == Phase::Opaque {
            return;
        }
        let rest = incoming.size_hint().exact();
        let little = if self.state.is_in_last_body() {
            !self.asks && rest.is_some_and(|rest| rest <= MAX_UNWANTED)
        } else {
            // All of it came. Of a known length hyper itself reads what it holds, but no more than one chunk.
            if rest.is_some() {
                return;
            }
            true
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if little => drop(runtime.spawn(discard(incoming))),
            _ => self.state.leave_body(self.number),
        }
    }

    /// Nothing came yet; whether that was for too long.
    #[cold]
    fn wait(&mut self, cx: &Context<'_>) -> bool {
        let state = &self.state;
        if state.phase() != Phase::Opaque {
            return false;
        }
        let awaited = self.awaited.get_or_insert_with(|| state.streams.watch());
        awaited.begin();
        awaited.is_over(cx.waker())
    }
}

/// The deadlines of a body hold here as well; when one has passed, reading fails.
async fn discard(mut incoming: Incoming) {
    let mut read = 0;
    while read <= MAX_UNWANTED {
        match std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) | None => return,
        }
    }
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        if polled.is_pending() && self.wait(cx) {
            self.incoming = None;
            return Poll::Ready(Some(Err(BodyError::Timeout.into())));
        }
        let polled = ready!(polled);
        if !matches!(polled, Some(Ok(_))) {
            self.incoming = None;
        }
        let frame = match polled {
            Some(Ok(frame)) => frame,
            Some(Err(_)) if self.state.body_timed_out.load(Relaxed) => {
                return Poll::Ready(Some(Err(BodyError::Timeout.into())));
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Other(error.into()).into()))),
            None => return Poll::Ready(None),
        };
        let len = frame.data_ref().map_or(0, Bytes::len);
        if let Some(awaited) = &self.awaited {
            awaited.came(len);
        }
        let len = len as u64;
        if len > self.left {
            self.left = 0;
            return Poll::Ready(Some(Err(BodyError::TooLarge { limit: self.limit }.into())));
        }
        self.left -= len;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        if let Some(awaited) = self.awaited.take() {
            self.state.streams.forget(&awaited);
        }
        if let Some(incoming) = self.incoming.take()
            && !incoming.is_end_stream()
        {
            self.leave(incoming);
        }
    }
}
