//! [`Http2Body`]: the body of a response on a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::BoxError;
use h2::{Reason, RecvStream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::connection::Slot;
use crate::Error;
use crate::client::pending::Pending;
use crate::client::timer::Timer;

/// The body of a response on a stream. A body that is dropped earlier resets the stream.
pub(super) struct Http2Body {
    /// `None` once the body has ended.
    stream: Option<RecvStream>,
    /// `true` once the data has ended. Trailers may follow.
    has_data: bool,
    /// The bytes that are still to come, by `Content-Length`.
    remaining: Option<u64>,
    /// The task that sends the rest of the request.
    upload: Option<AbortHandle>,
    slot: Option<Slot>,
    pending: Option<Pending>,
    timer: Timer,
    read_timeout: Duration,
    deadline: Option<Instant>,
}

/// The next part of a body.
enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

// === impl Http2Body ===

impl Http2Body {
    pub(super) fn new(
        stream: RecvStream,
        headers: &HeaderMap,
        upload: Option<AbortHandle>,
        slot: Slot,
        pending: Option<Pending>,
        read_timeout: Duration,
    ) -> Self {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let ends = stream.is_end_stream();
        let mut this = Self {
            stream: Some(stream),
            has_data: true,
            // The length of a response without a body is that of another one.
            remaining: if ends { Some(0) } else { length },
            upload,
            slot: Some(slot),
            pending,
            timer: Timer::new(),
            read_timeout,
            deadline: None,
        };
        if ends {
            this.finish();
        }
        this
    }

    /// Gives the stream back.
    fn finish(&mut self) {
        self.stream = None;
        self.slot = None;
        self.pending = None;
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, h2::Error>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(Part::End)) };
        while self.has_data {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // The window opens as the reader goes on.
                    let _ = stream.flow_control().release_capacity(data.len());
                    if !data.is_empty() {
                        return Poll::Ready(Ok(Part::Data(data)));
                    }
                }
                // RFC 9113 §8.1: a server that wants no more of the request resets the stream with
                // NO_ERROR after a complete response.
                Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) && error.is_reset() => {
                    return if self.remaining.unwrap_or(0) == 0 {
                        Poll::Ready(Ok(Part::End))
                    } else {
                        Poll::Ready(Err(error))
                    };
                }
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => self.has_data = false,
            }
        }
        Poll::Ready(match ready!(stream.poll_trailers(cx)) {
            Ok(Some(trailers)) => Ok(Part::Trailers(trailers)),
            Ok(None) => Ok(Part::End),
            Err(error) if error.reason() == Some(Reason::NO_ERROR) && error.is_reset() => Ok(Part::End),
            Err(error) => Err(error),
        })
    }
}

impl Body for Http2Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match this.poll_part(cx) {
            Poll::Ready(Ok(Part::Data(data))) => {
                this.deadline = None;
                this.remaining = this.remaining.map(|remaining| remaining.saturating_sub(data.len() as u64));
                if this.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Ok(Part::Trailers(trailers))) => {
                this.finish();
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Poll::Ready(Ok(Part::End)) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Err(error)) => {
                this.finish();
                Poll::Ready(Some(Err(Error::Protocol(error.into()).into())))
            }
            Poll::Pending => {
                let read_timeout = this.read_timeout;
                let deadline = *this.deadline.get_or_insert_with(|| Instant::now() + read_timeout);
                if this.timer.poll(deadline, cx).is_pending() {
                    return Poll::Pending;
                }
                this.finish();
                Poll::Ready(Some(Err(Error::Timeout(read_timeout).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.stream, self.remaining) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), Some(remaining)) => SizeHint::with_exact(remaining),
            (Some(_), None) => SizeHint::default(),
        }
    }
}

impl Drop for Http2Body {
    fn drop(&mut self) {
        if self.stream.is_some()
            && let Some(upload) = &self.upload
        {
            upload.abort();
        }
    }
}
