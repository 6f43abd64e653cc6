//! The body of a request as it comes on its stream.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Frame, SizeHint};

use super::interim::InterimSender;

/// The body of a request on a stream. It fails if the client resets the stream, because it is not
/// complete then.
pub(super) struct Received {
    /// `None` only while it is dropped.
    stream: Option<RecvStream>,
    /// The rest of the announced length.
    left: Option<u64>,
    is_read: bool,
    /// The sender of 100 (Continue), while the client waits for it.
    awaits_continue: Option<Arc<InterimSender>>,
    unread: Unread,
}

/// The slot for a stream whose reader was dropped before its end. `None` if there is nothing to
/// read.
#[derive(Clone)]
pub(super) struct Unread(Option<Arc<Mutex<Option<RecvStream>>>>);

/// The limit of discarded bytes of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct DiscardLimit {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

// === impl Received ===

impl Received {
    pub(super) fn new(
        stream: RecvStream,
        length: Option<u64>,
        awaits_continue: Option<Arc<InterimSender>>,
        unread: Unread,
    ) -> Self {
        Self { stream: Some(stream), left: length, is_read: false, awaits_continue, unread }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.unread.leave(self.stream.take());
    }
}

// === impl Unread ===

impl Unread {
    pub(super) fn of(stream: &RecvStream) -> Self {
        Self((!stream.is_end_stream()).then(Arc::default))
    }

    pub(super) fn leave(&self, stream: Option<RecvStream>) {
        let left = stream.filter(|stream| !stream.is_end_stream());
        if let (Some(place), Some(_)) = (&self.0, &left) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = left;
        }
    }

    /// Discards the rest of the stream, up to `limit`.
    pub(super) async fn discard(&self, limit: DiscardLimit) {
        let Some(place) = &self.0 else { return };
        let left = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut stream) = left else { return };
        let all = async {
            let mut discarded = 0;
            while discarded < limit.bytes
                && let Some(Ok(data)) = stream.data().await
            {
                discarded += data.len();
                let _ = stream.flow_control().release_capacity(data.len());
            }
            discarded < limit.bytes
        };
        // A stream that is not at its end is left for the next call.
        if !tokio::time::timeout(limit.time, all).await.unwrap_or(false) {
            self.leave(Some(stream));
        }
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else { return Poll::Ready(None) };
        if !this.is_read {
            let polled = stream.poll_data(cx);
            // RFC 9110 §10.1.1: 100 is sent once a handler reads the body.
            if polled.is_pending()
                && let Some(sender) = this.awaits_continue.take()
            {
                sender.send_continue();
            }
            match ready!(polled) {
                Some(Ok(data)) => {
                    this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
                    stream.flow_control().release_capacity(data.len())?;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.is_read = true,
            }
        }
        stream.poll_trailers(cx).map(|trailers| Some(trailers.transpose()?.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
