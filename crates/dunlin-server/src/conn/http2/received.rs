//! [`Received`]: the body of a request as it comes on its stream.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Frame, SizeHint};

use super::interim::Voice;

/// What comes on a stream. One that its client resets fails: what came is not the whole.
pub(super) struct Received {
    /// `None` only once it was left.
    stream: Option<RecvStream>,
    /// What is left of the length that was told.
    left: Option<u64>,
    is_read: bool,
    /// Where the client is told to go on, if it waits for that.
    awaits: Option<Arc<Voice>>,
    unread: Unread,
}

/// A stream that is not read to its end, once nobody reads it. `None` where there is nothing to read.
#[derive(Clone)]
pub(super) struct Unread(Option<Arc<Mutex<Option<RecvStream>>>>);

// === impl Received ===

impl Received {
    pub(super) fn new(stream: RecvStream, length: Option<u64>, awaits: Option<Arc<Voice>>, unread: Unread) -> Self {
        Self { stream: Some(stream), left: length, is_read: false, awaits, unread }
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

    /// Throws away what comes, up to so many bytes and for so long.
    pub(super) async fn discard(&self, (most, time): (usize, Duration)) {
        let Some(place) = &self.0 else { return };
        let left = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut stream) = left else { return };
        let all = async {
            let mut discarded = 0;
            while discarded < most
                && let Some(Ok(data)) = stream.data().await
            {
                discarded += data.len();
                let _ = stream.flow_control().release_capacity(data.len());
            }
            discarded < most
        };
        // Until its end, or until it is no more.
        if !tokio::time::timeout(time, all).await.unwrap_or(false) {
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
            // RFC 9110 §10.1.1: nothing has come, and somebody wants it.
            if polled.is_pending()
                && let Some(voice) = this.awaits.take()
            {
                voice.go_on();
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
