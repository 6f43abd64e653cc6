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
    trailers: Option<HeaderMap>,
}

// === impl Keeper ===

impl Keeper {
    /// Keeps the answer with this content, and what came after it.
    pub(crate) fn keep(self, bytes: Bytes, trailers: Option<HeaderMap>) {
        let answer = Answer { key: &self.key, policy: &self.policy, request: &self.request, times: self.times };
        let trailers = trailers.and_then(|trailers| answer.trailers(&self.core, &self.head, trailers));
        if let Ok(entry) = answer.entry(self.head, bytes, self.part.as_deref()) {
            // Those of a part are of that part: they are not known to fit what it is joined to.
            let trailers = trailers.filter(|_| entry.part.is_none() && self.part.is_none());
            answer.keep(&self.core, entry.with_trailers(trailers));
        }
    }

    fn most(&self) -> usize {
        usize::try_from(self.core.config.max_entry).unwrap_or(usize::MAX)
    }
}

// === impl Tee ===

impl Tee {
    pub(crate) fn new(inner: Body, keeper: Keeper) -> Self {
        Self { inner, kept: Some((BytesMut::new(), keeper)), trailers: None }
    }

    fn finish(&mut self) {
        if let Some((bytes, keeper)) = self.kept.take() {
            keeper.keep(bytes.freeze(), self.trailers.take());
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
                if let (Some(trailers), Some(_)) = (frame.trailers_ref(), &self.kept) {
                    self.trailers = Some(trailers.clone());
                }
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
