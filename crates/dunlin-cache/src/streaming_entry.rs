//! [`StreamingEntry`]: a response whose body is still arriving, with any number of readers.
//!
//! The whole body is buffered until it is complete or too large for an entry. A body that is too
//! large becomes a window: chunks that all readers have read are dropped, and the slowest reader
//! holds the origin back.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use dunlin_http::BoxError;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use crate::head::Head;

/// The limit of bytes that wait for the slowest reader of a window.
const WINDOW: usize = 256 << 10;

/// A response whose body is still arriving.
#[derive(Debug)]
pub(crate) struct StreamingEntry {
    pub(crate) head: Head,
    length: Option<u64>,
    max_body: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// The number of chunks that were dropped.
    dropped: usize,
    bytes: usize,
    /// `true` once the body is too large for an entry.
    window: bool,
    end: Option<Result<(), BrokenOff>>,
    /// The trailers, or an empty map.
    trailers: HeaderMap,
    readers: Vec<Option<Reader>>,
    writer: Option<Waker>,
}

#[derive(Debug, Default)]
struct Reader {
    /// The number of the chunk that it reads next.
    next: usize,
    waker: Option<Waker>,
}

/// The body of one reader.
#[derive(Debug)]
pub(crate) struct StreamingBody {
    entry: Arc<StreamingEntry>,
    reader: usize,
    left: Option<u64>,
    /// `true` once it has returned the trailers.
    trailers_read: bool,
}

/// The state of the body after a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The whole body is buffered.
    Buffered,
    /// The body is too large, so it will not be stored.
    TooLarge,
}

/// The origin's body ended with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BrokenOff;

/// Every reader has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoReaders;

// === impl StreamingEntry ===

impl StreamingEntry {
    pub(crate) fn new(head: Head, length: Option<u64>, max_body: usize) -> Arc<Self> {
        Arc::new(Self { head, length, max_body, state: Mutex::default() })
    }

    /// Returns `true` if new readers can no longer join.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().window
    }

    /// A new reader, if the beginning of the body is still buffered.
    pub(crate) fn reader(self: &Arc<Self>) -> Option<StreamingBody> {
        let mut state = self.state.lock();
        if state.window {
            return None;
        }
        state.readers.push(Some(Reader::default()));
        let reader = state.readers.len() - 1;
        Some(StreamingBody { entry: Arc::clone(self), reader, left: self.length, trailers_read: false })
    }

    /// Adds a chunk.
    pub(crate) fn write(&self, chunk: Bytes) -> Written {
        let mut state = self.state.lock();
        state.bytes += chunk.len();
        state.chunks.push_back(chunk);
        if !state.window && state.bytes > self.max_body {
            state.window = true;
            state.drop_read_chunks();
        }
        state.wake_readers();
        if state.window { Written::TooLarge } else { Written::Buffered }
    }

    /// Waits until the window has room for another chunk.
    pub(crate) async fn room(&self) -> Result<(), NoReaders> {
        std::future::poll_fn(|cx| {
            let mut state = self.state.lock();
            if !state.window {
                return Poll::Ready(Ok(()));
            }
            state.drop_read_chunks();
            if state.readers.iter().all(Option::is_none) {
                return Poll::Ready(Err(NoReaders));
            }
            if state.bytes < WINDOW {
                return Poll::Ready(Ok(()));
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Sets the trailers.
    pub(crate) fn set_trailers(&self, trailers: HeaderMap) {
        self.state.lock().trailers = trailers;
    }

    /// Ends the body.
    pub(crate) fn end(&self, end: Result<(), BrokenOff>) {
        let mut state = self.state.lock();
        state.end = Some(end);
        state.wake_readers();
    }

    /// The whole body so far, unless it is too large.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        let state = self.state.lock();
        if state.window {
            return None;
        }
        let mut whole = BytesMut::with_capacity(state.bytes);
        state.chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
        Some(whole.freeze())
    }
}

// === impl State ===

impl State {
    fn wake_readers(&mut self) {
        self.readers.iter_mut().flatten().filter_map(|reader| reader.waker.take()).for_each(Waker::wake);
    }

    /// Drops the chunks that all readers have read.
    fn drop_read_chunks(&mut self) {
        let slowest = self.readers.iter().flatten().map(|reader| reader.next).min().unwrap_or(usize::MAX);
        while self.dropped < slowest
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.dropped += 1;
            self.bytes -= chunk.len();
        }
    }

    fn wake_writer(&mut self) {
        if self.window
            && let Some(writer) = self.writer.take()
        {
            writer.wake();
        }
    }
}

// === impl StreamingBody ===

impl http_body::Body for StreamingBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let mut state = this.entry.state.lock();
        let dropped = state.dropped;
        let Some(reader) = state.readers.get_mut(this.reader).and_then(Option::as_mut) else {
            return Poll::Ready(None);
        };
        let next = reader.next;
        if let Some(chunk) = state.chunks.get(next - dropped).cloned() {
            if let Some(Some(reader)) = state.readers.get_mut(this.reader) {
                reader.next += 1;
            }
            state.wake_writer();
            this.left = this.left.map(|left| left.saturating_sub(chunk.len() as u64));
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.end {
            Some(Ok(())) if this.trailers_read || state.trailers.is_empty() => Poll::Ready(None),
            Some(Ok(())) => {
                this.trailers_read = true;
                Poll::Ready(Some(Ok(Frame::trailers(state.trailers.clone()))))
            }
            Some(Err(BrokenOff)) => Poll::Ready(Some(Err("the origin broke off its response".into()))),
            None => {
                if let Some(Some(reader)) = state.readers.get_mut(this.reader) {
                    reader.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.entry.state.lock();
        let next = state.readers.get(self.reader).and_then(Option::as_ref).map(|reader| reader.next);
        let has_given_all = next.is_none_or(|next| next - state.dropped >= state.chunks.len());
        state.end == Some(Ok(())) && has_given_all && (self.trailers_read || state.trailers.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for StreamingBody {
    fn drop(&mut self) {
        let mut state = self.entry.state.lock();
        if let Some(reader) = state.readers.get_mut(self.reader) {
            *reader = None;
        }
        state.wake_writer();
    }
}
