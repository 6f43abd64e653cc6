//! The body of a request on its way out, and what is known of it from outside.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use dunlin_http::{Body, BodyError, BoxError};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

/// A request's body that tells an [`Upload`] how far it is. A complete body has none to tell.
#[derive(Debug)]
pub(crate) struct Outgoing {
    body: Body,
    upload: Option<Arc<Upload>>,
}

/// What happens to a body that streams.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Whether the body has come to its end, one way or the other.
    done: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the connection last took a part of the body; `None` while it is the client that lets it
    /// wait.
    progress: Option<Instant>,
    /// Why the body failed.
    error: Option<BodyError>,
    /// While it is there, nothing is read.
    gate: Option<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    waker: Option<Waker>,
}

// === impl Outgoing ===

impl Outgoing {
    /// `body`, and how to watch it if it streams. A `gated` body is not read before
    /// [`Upload::open`].
    pub(crate) fn new(body: Body, gated: bool) -> (Self, Option<Arc<Upload>>) {
        if body.as_bytes().is_some() {
            return (Self { body, upload: None }, None);
        }
        let state = State { progress: Some(Instant::now()), error: None, gate: gated.then(Gate::default) };
        let upload = Arc::new(Upload { done: AtomicBool::new(false), state: Mutex::new(state) });
        (Self { body, upload: Some(upload.clone()) }, Some(upload))
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { body, upload } = &mut *self;
        let Some(upload) = upload else { return Pin::new(body).poll_frame(cx) };
        if !upload.is_open(cx) {
            return Poll::Pending;
        }
        let polled = Pin::new(body).poll_frame(cx);
        match polled {
            Poll::Ready(Some(Err(error))) => {
                let error = BodyError::from_boxed(error);
                let text = error.to_string();
                upload.state.lock().error = Some(error);
                Poll::Ready(Some(Err(text.into())))
            }
            polled => {
                upload.state.lock().progress = polled.is_ready().then(Instant::now);
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.done.store(true, Ordering::Release);
        }
    }
}

// === impl Upload ===

impl Upload {
    /// Whether nothing of the body is left to be sent.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Why the body failed, if it did. It is told once.
    pub(crate) fn take_error(&self) -> Option<BodyError> {
        self.state.lock().error.take()
    }

    /// Lets the body be read.
    pub(crate) fn open(&self) {
        if let Some(waker) = self.state.lock().gate.take().and_then(|gate| gate.waker) {
            waker.wake();
        }
    }

    /// Since when the upstream is to act: to take more of the body, or to answer. `None` while the
    /// client is, by sending more of it.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.state.lock().progress
    }

    fn is_open(&self, cx: &Context<'_>) -> bool {
        match &mut self.state.lock().gate {
            None => true,
            Some(gate) => {
                gate.waker = Some(cx.waker().clone());
                false
            }
        }
    }
}
