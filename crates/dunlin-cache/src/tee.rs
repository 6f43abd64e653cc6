//! [`Tee`]: a body that is kept while one client reads it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use dunlin_http::{Body, BoxError};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::config::RoutePolicy;
use crate::core::{Core, Key};
use crate::entry::{Entry, Head, Times};
use crate::keep::Answer;

/// Keeps an answer when it is complete.
pub(crate) struct Keeper {
    pub(crate) core: Arc<Core>,
    pub(crate) policy: Arc<RoutePolicy>,
    pub(crate) key: Key,
    pub(crate) request: HeaderMap,
    pub(crate) times: Times,
    pub(crate) head: Head,
    /// A stored part that it may be joined to.
    pub(crate) part: Option<Arc<Entry>>,
}

/// A body that is kept while it is read. If the reader leaves, or it becomes too large, it is not.
pub(crate) struct Tee {
    inner: Body,
    kept: Option<(BytesMut, Keeper)>,
}

// === impl Keeper ===

impl Keeper {
    /// Keeps the answer with this content.
    pub(crate) fn keep(self, bytes: Bytes) {
        let answer = Answer { key: &self.key, policy: &self.policy, request: &self.request, times: self.times };
        if let Ok(entry) = answer.entry(self.head, bytes, self.part.as_deref()) {
            answer.keep(&self.core, entry);
        }
    }

    fn most(&self) -> usize {
        usize::try_from(self.core.config.max_entry).unwrap_or(usize::MAX)
    }
}

// === impl Tee ===

impl Tee {
    pub(crate) fn new(inner: Body, keeper: Keeper) -> Self {
        Self { inner, kept: Some((BytesMut::new(), keeper)) }
    }

    fn finish(&mut self) {
        if let Some((bytes, keeper)) = self.kept.take() {
            keeper.keep(bytes.freeze());
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
                if let (Some(chunk), Some((bytes, keeper))) = (frame.data_ref(), &mut self.kept) {
                    if bytes.len() + chunk.len() <= keeper.most() {
                        bytes.extend_from_slice(chunk);
                    } else {
                        self.kept = None;
                    }
                }
                // Who reads it may not ask for what comes after the last frame.
                if self.inner.is_end_stream() {
                    self.finish();
                }
            }
            Some(Err(_)) => self.kept = None,
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
