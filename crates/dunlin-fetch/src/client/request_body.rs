//! [`RequestBody`]: the body of a request, and [`Upload`]: its progress.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use dunlin_http::{Body, BodyError, BoxError};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

/// A request body that records its progress in an [`Upload`] if it is a stream.
#[derive(Debug)]
pub(crate) struct RequestBody {
    body: Body,
    upload: Option<Arc<Upload>>,
}

/// The progress of a request body that is a stream.
#[derive(Debug)]
pub(crate) struct Upload {
    /// `true` if the body has ended, complete or not.
    done: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The time at which the connection last took a part of the body. `None` while the connection
    /// waits for the client.
    progress: Option<Instant>,
    /// The reason why the body failed.
    error: Option<BodyError>,
    /// Present until the body may be read.
    hold: Option<Hold>,
}

/// A body that waits for 100 (Continue).
#[derive(Debug, Default)]
struct Hold {
    waker: Option<Waker>,
}

// === impl RequestBody ===

impl RequestBody {
    /// Wraps `body`, with its progress if it is a stream. A body that is `held` is not read before
    /// [`Upload::start`].
    pub(crate) fn new(body: Body, held: bool) -> (Self, Option<Arc<Upload>>) {
        if body.as_bytes().is_some() {
            return (Self { body, upload: None }, None);
        }
        let state = State { progress: Some(Instant::now()), error: None, hold: held.then(Hold::default) };
        let upload = Arc::new(Upload { done: AtomicBool::new(false), state: Mutex::new(state) });
        (Self { body, upload: Some(upload.clone()) }, Some(upload))
    }
}

impl RequestBody {
    /// The body of a request that was not sent.
    pub(crate) fn into_body(mut self) -> Body {
        std::mem::replace(&mut self.body, Body::empty())
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { body, upload } = &mut *self;
        let Some(upload) = upload else { return Pin::new(body).poll_frame(cx) };
        if !upload.has_started(cx) {
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

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.done.store(true, Ordering::Release);
        }
    }
}

// === impl Upload ===

impl Upload {
    /// Returns `true` if nothing of the body is left to send.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Takes the reason why the body failed.
    pub(crate) fn take_error(&self) -> Option<BodyError> {
        self.state.lock().error.take()
    }

    /// Lets a held body be read.
    pub(crate) fn start(&self) {
        if let Some(waker) = self.state.lock().hold.take().and_then(|hold| hold.waker) {
            waker.wake();
        }
    }

    /// The time since which the connection waits for the upstream, to take more of the body or to
    /// respond. `None` while it waits for the client.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.state.lock().progress
    }

    fn has_started(&self, cx: &Context<'_>) -> bool {
        match &mut self.state.lock().hold {
            None => true,
            Some(hold) => {
                hold.waker = Some(cx.waker().clone());
                false
            }
        }
    }
}
