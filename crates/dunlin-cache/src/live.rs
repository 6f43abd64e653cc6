//! [`Live`]: an answer that is coming in, read by as many as ask for it while it comes.
//!
//! All of it is kept until it is complete or more than one entry may take. From then on it is only
//! a window: what all readers have read is let go, and the slowest of them holds the rest back.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use dunlin_http::BoxError;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use crate::entry::Head;

/// Bytes that may wait for the slowest reader once the answer is too large to keep.
const WINDOW: usize = 256 << 10;

/// An answer that is coming in.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) head: Head,
    length: Option<u64>,
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// Chunks that were let go.
    gone: usize,
    bytes: usize,
    /// It is too large to keep.
    window: bool,
    end: Option<Result<(), ()>>,
    /// What comes after the last chunk; none while it is empty.
    trailers: HeaderMap,
    readers: Vec<Option<Reader>>,
    writer: Option<Waker>,
}

#[derive(Debug, Default)]
struct Reader {
    /// The number of the chunk it reads next.
    next: usize,
    waker: Option<Waker>,
}

/// One reader's body.
#[derive(Debug)]
pub(crate) struct LiveBody {
    live: Arc<Live>,
    reader: usize,
    left: Option<u64>,
    /// Whether it has given the trailers.
    trailed: bool,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Kept,
    /// The answer is too large: nothing of it will be stored.
    Windowed,
}

// === impl Live ===

impl Live {
    pub(crate) fn new(head: Head, length: Option<u64>, most: usize) -> Arc<Self> {
        Arc::new(Self { head, length, most, state: Mutex::default() })
    }

    /// Whether nobody can join any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().window
    }

    /// A reader from the beginning, if that is still there.
    pub(crate) fn reader(self: &Arc<Self>) -> Option<LiveBody> {
        let mut state = self.state.lock();
        if state.window {
            return None;
        }
        state.readers.push(Some(Reader::default()));
        let reader = state.readers.len() - 1;
        Some(LiveBody { live: Arc::clone(self), reader, left: self.length, trailed: false })
    }

    /// Adds a chunk.
    pub(crate) fn write(&self, chunk: Bytes) -> Written {
        let mut state = self.state.lock();
        state.bytes += chunk.len();
        state.chunks.push_back(chunk);
        if !state.window && state.bytes > self.most {
            state.window = true;
            state.let_go();
        }
        state.wake_readers();
        if state.window { Written::Windowed } else { Written::Kept }
    }

    /// Waits until there is room. `Err` when nobody reads any more.
    pub(crate) async fn room(&self) -> Result<(), ()> {
        std::future::poll_fn(|cx| {
            let mut state = self.state.lock();
            if !state.window {
                return Poll::Ready(Ok(()));
            }
            state.let_go();
            if state.readers.iter().all(Option::is_none) {
                return Poll::Ready(Err(()));
            }
            if state.bytes < WINDOW {
                return Poll::Ready(Ok(()));
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Says what comes after the last chunk.
    pub(crate) fn trail(&self, trailers: HeaderMap) {
        self.state.lock().trailers = trailers;
    }

    /// Ends it: complete, or broken off.
    pub(crate) fn end(&self, end: Result<(), ()>) {
        let mut state = self.state.lock();
        state.end = Some(end);
        state.wake_readers();
    }

    /// All of it in one piece, if it is all there.
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

    /// Lets go of what all readers have read.
    fn let_go(&mut self) {
        let slowest = self.readers.iter().flatten().map(|reader| reader.next).min().unwrap_or(usize::MAX);
        while self.gone < slowest
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.gone += 1;
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

// === impl LiveBody ===

impl http_body::Body for LiveBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let mut state = this.live.state.lock();
        let gone = state.gone;
        let Some(reader) = state.readers.get_mut(this.reader).and_then(Option::as_mut) else {
            return Poll::Ready(None);
        };
        let next = reader.next;
        if let Some(chunk) = state.chunks.get(next - gone).cloned() {
            if let Some(Some(reader)) = state.readers.get_mut(this.reader) {
                reader.next += 1;
            }
            state.wake_writer();
            this.left = this.left.map(|left| left.saturating_sub(chunk.len() as u64));
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.end {
            Some(Ok(())) if this.trailed || state.trailers.is_empty() => Poll::Ready(None),
            Some(Ok(())) => {
                this.trailed = true;
                Poll::Ready(Some(Ok(Frame::trailers(state.trailers.clone()))))
            }
            Some(Err(())) => Poll::Ready(Some(Err("the origin broke off its answer".into()))),
            None => {
                if let Some(Some(reader)) = state.readers.get_mut(this.reader) {
                    reader.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.live.state.lock();
        let next = state.readers.get(self.reader).and_then(Option::as_ref).map(|reader| reader.next);
        let has_given_all = next.is_none_or(|next| next - state.gone >= state.chunks.len());
        state.end == Some(Ok(())) && has_given_all && (self.trailed || state.trailers.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for LiveBody {
    fn drop(&mut self) {
        let mut state = self.live.state.lock();
        if let Some(reader) = state.readers.get_mut(self.reader) {
            *reader = None;
        }
        state.wake_writer();
    }
}
