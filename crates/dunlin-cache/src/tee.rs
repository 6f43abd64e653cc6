//! [`Tee`]: a body that is stored while one client reads it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use dunlin_http::{Body, BoxError};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::config::RoutePolicy;
use crate::core::Core;
use crate::entry::Entry;
use crate::head::{Head, Times};
use crate::key::Key;
use crate::storing::ResponseContext;

/// A response that is stored once its body is complete.
pub(crate) struct PendingEntry {
    pub(crate) core: Arc<Core>,
    pub(crate) policy: Arc<RoutePolicy>,
    pub(crate) key: Key,
    /// The header of the request.
    pub(crate) request: HeaderMap,
    pub(crate) times: Times,
    pub(crate) head: Head,
    /// A stored part that the body may be joined to.
    pub(crate) part: Option<Arc<Entry>>,
}

/// A body that is stored once it was read to its end. It is not stored if the client leaves, or if
/// it becomes too large.
pub(crate) struct Tee {
    inner: Body,
    pending: Option<(BytesMut, PendingEntry)>,
    trailers: Option<HeaderMap>,
}

// === impl PendingEntry ===

impl PendingEntry {
    /// Stores the response with this body and these trailers.
    pub(crate) fn store(self, bytes: Bytes, trailers: Option<HeaderMap>) {
        let context =
            ResponseContext { key: &self.key, policy: &self.policy, request: &self.request, times: self.times };
        let trailers = trailers.and_then(|trailers| context.shared_trailers(&self.core, &self.head, trailers));
        if let Ok(entry) = context.entry(self.head, bytes, self.part.as_deref()) {
            // The trailers of a part are not known to fit the content that it is joined to.
            let trailers = trailers.filter(|_| entry.part.is_none() && self.part.is_none());
            context.store(&self.core, entry.with_trailers(trailers));
        }
    }
}

// === impl Tee ===

impl Tee {
    pub(crate) fn new(inner: Body, pending: PendingEntry) -> Self {
        Self { inner, pending: Some((BytesMut::new(), pending)), trailers: None }
    }

    fn finish(&mut self) {
        if let Some((bytes, pending)) = self.pending.take() {
            pending.store(bytes.freeze(), self.trailers.take());
        }
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(trailers), Some(_)) = (frame.trailers_ref(), &self.pending) {
                    self.trailers = Some(trailers.clone());
                }
                if let (Some(chunk), Some((bytes, pending))) = (frame.data_ref(), &mut self.pending) {
                    if bytes.len() + chunk.len() <= pending.core.max_body() {
                        bytes.extend_from_slice(chunk);
                    } else {
                        self.pending = None;
                    }
                }
                // A reader need not poll again after the last frame.
                if self.inner.is_end_stream() {
                    self.finish();
                }
            }
            Some(Err(_)) => self.pending = None,
            None => self.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
