//! [`Transaction`]: a request and its response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dunlin_http::{Body, BodyError};
use http::HeaderMap;
use http_body::Body as _;

use super::incoming::{Feed, Reader, channel};
use super::io::{Io, ROOM};
use super::response::{Content, RequestFacts, write_field};
use crate::conn::call::Call;
use crate::framing::{Framer, Framing, Piece};
use crate::ledger::Phase;

/// A request and its response.
pub(super) struct Transaction<F> {
    pub(super) facts: RequestFacts,
    pub(super) stage: Stage<F>,
    /// `true` if the client sends the body only after a 100 (Continue) (RFC 9110 §10.1.1).
    pub(super) awaits_continue: bool,
    takes_trailers: bool,
    /// The sender of the request's body, while it has a reader.
    feed: Option<Feed>,
    /// `true` if the body cannot be read on.
    is_broken: bool,
    /// Bytes of the body that were discarded.
    discarded: u64,
}

pub(super) enum Stage<F> {
    /// The handler works on it.
    Answering(Pin<Box<Call<F>>>),
    /// The head of the response is written, its content is not.
    Sending { body: Body, content: Content },
    /// The whole response is written.
    Answered,
}

/// Bytes of an unread request body that are discarded to keep the connection alive.
const MAX_DISCARDED: u64 = 64 << 10;
/// The room for a body, in bytes.
const BODY_ROOM: u64 = 64 << 10;

// === impl Transaction ===

impl<F> Transaction<F> {
    /// A request whose handler is not called yet.
    pub(super) const fn new(facts: RequestFacts, awaits_continue: bool, takes_trailers: bool) -> Self {
        let stage = Stage::Answered;
        Self { facts, stage, awaits_continue, takes_trailers, feed: None, is_broken: false, discarded: 0 }
    }

    /// The body of the request. It is complete if it came with its head.
    pub(super) fn body(&mut self, framing: Framing, io: &mut Io<'_>, limit: u64) -> Body {
        let length = match framing {
            Framing::Length(0) => return Body::empty(),
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };
        if length.is_some_and(|length| length <= io.framer.len() as u64)
            && let Ok(Some(Piece::Data(all))) = io.framer.piece()
        {
            io.ledger.set_phase(Phase::Between);
            return all.into();
        }
        let (feed, incoming) = channel(limit, length, io.ledger);
        self.feed = Some(feed);
        Body::new(incoming)
    }

    /// Passes the next piece of the body to a reader that waits. Returns `true` if there was one.
    pub(super) fn feed(&mut self, io: &mut Io<'_>, cx: &mut Context<'_>) -> io::Result<bool> {
        let Some(feed) = &self.feed else { return Ok(false) };
        match feed.reader() {
            Reader::Waits => {}
            Reader::Busy => {
                io.ledger.set_waits_to_read(false);
                return Ok(false);
            }
            Reader::Gone => {
                self.feed = None;
                return Ok(false);
            }
        }
        loop {
            match io.framer.piece() {
                Ok(Some(Piece::Data(data))) => feed.data(data, !io.framer.in_body()),
                Ok(Some(Piece::End(trailers))) => feed.end(trailers),
                Ok(None) if io.ledger.is_body_timed_out() => {
                    self.is_broken = true;
                    feed.fail(BodyError::Timeout);
                }
                Ok(None) if io.ended => {
                    self.is_broken = true;
                    feed.fail(BodyError::Other("the client closed before the body was complete".into()));
                }
                Ok(None) => {
                    if std::mem::take(&mut self.awaits_continue) && matches!(self.stage, Stage::Answering(_)) {
                        io.output.gathered().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                        io.flush(cx)?;
                    }
                    if fill_body(io, cx)?.is_pending() {
                        return Ok(false);
                    }
                    continue;
                }
                Err(reject) => {
                    self.is_broken = true;
                    feed.fail(BodyError::Other(reject.detail.into()));
                }
            }
            self.awaits_continue = false;
            if self.is_broken || !io.framer.in_body() {
                self.feed = None;
            }
            if !io.framer.in_body() {
                io.ledger.set_phase(Phase::Between);
            }
            return Ok(true);
        }
    }

    /// Passes a piece of the body on, or else checks that the client is still there.
    pub(super) fn feed_or_read_ahead(&mut self, io: &mut Io<'_>, cx: &mut Context<'_>) -> io::Result<bool> {
        let fed = self.feed(io, cx)?;
        if !fed && !io.framer.in_body() {
            io.read_ahead(cx)?;
        }
        Ok(fed)
    }

    /// Returns `true` if the rest of the body will be read, so that the connection can go on. A
    /// body without a reader is read only if it is short.
    pub(super) fn reads_rest(&mut self, framer: &mut Framer) -> bool {
        if !framer.in_body() {
            return true;
        }
        if self.is_broken {
            return false;
        }
        if self.feed.as_ref().is_some_and(|feed| feed.reader() != Reader::Gone) {
            return true;
        }
        self.feed = None;
        !self.awaits_continue && self.discard(framer) && framer.left().is_some_and(|left| left <= MAX_DISCARDED)
    }

    /// Discards what has come of a body without a reader. Returns `true` if it is still short and
    /// well-formed.
    fn discard(&mut self, framer: &mut Framer) -> bool {
        while framer.in_body() {
            match framer.piece() {
                Ok(Some(Piece::Data(data))) => self.discarded += data.len() as u64,
                Ok(Some(Piece::End(_))) => {}
                Ok(None) => break,
                Err(_) => self.is_broken = true,
            }
            if self.is_broken || self.discarded > MAX_DISCARDED {
                return false;
            }
        }
        true
    }

    /// Sends the content of the response.
    pub(super) fn poll_send(&mut self, io: &mut Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Stage::Sending { body, content } = &mut self.stage else { return Poll::Ready(Ok(())) };
            if !io.output.has_room() {
                ready!(io.poll_flush(cx))?;
            }
            let frame = match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame.into_data().map_err(|frame| frame.into_trailers().ok()),
                Poll::Ready(Some(Err(error))) => {
                    // The connection ends here, so that the client sees that the content is not
                    // complete.
                    io.flush(cx)?;
                    return Poll::Ready(Err(io::Error::other(error)));
                }
                Poll::Ready(None) => Err(None),
                Poll::Pending => {
                    io.flush(cx)?;
                    if self.feed_or_read_ahead(io, cx)? {
                        continue;
                    }
                    return Poll::Pending;
                }
            };
            let is_complete = match (frame, content) {
                (Ok(data), Content::Chunked) => {
                    if !data.is_empty() {
                        io.output.push_chunk(data);
                    }
                    false
                }
                (Ok(data), Content::Length(left)) => {
                    *left = left
                        .checked_sub(data.len() as u64)
                        .ok_or_else(|| io::Error::other("the body is longer than its Content-Length"))?;
                    io.output.push(data);
                    *left == 0
                }
                (Ok(data), Content::UntilClose | Content::None) => {
                    io.output.push(data);
                    false
                }
                (Err(trailers), Content::Chunked) => {
                    write_last_chunk(io.output.gathered(), trailers.as_ref().filter(|_| self.takes_trailers));
                    true
                }
                (Err(_), Content::Length(_)) => {
                    io.flush(cx)?;
                    return Poll::Ready(Err(io::Error::other("the body is shorter than its Content-Length")));
                }
                (Err(_), Content::UntilClose | Content::None) => true,
            };
            if is_complete {
                self.stage = Stage::Answered;
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads the rest of the request's body, behind the response. Returns `true` if the connection
    /// can go on.
    pub(super) fn poll_rest(&mut self, io: &mut Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if !io.framer.in_body() || self.is_broken {
                return Poll::Ready(Ok(self.facts.persists && !self.is_broken));
            }
            if self.feed.is_some() {
                io.flush(cx)?;
                if self.feed(io, cx)? || self.feed.is_none() {
                    continue;
                }
                return Poll::Pending;
            }
            if !self.facts.persists || !self.discard(&mut io.framer) {
                return Poll::Ready(Ok(false));
            }
            if !io.framer.in_body() {
                io.ledger.set_phase(Phase::Between);
                continue;
            }
            io.flush(cx)?;
            if io.ended || io.ledger.is_body_timed_out() {
                return Poll::Ready(Ok(false));
            }
            ready!(fill_body(io, cx)?);
        }
    }
}

/// Reads on in a body. The reaper limits the waiting.
fn fill_body(io: &mut Io<'_>, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
    let room = io.framer.left().unwrap_or(BODY_ROOM).clamp(ROOM as u64, BODY_ROOM);
    let filled = io.poll_fill(cx, room as usize);
    io.ledger.set_waits_to_read(filled.is_pending());
    match filled {
        Poll::Ready(Err(error)) => Err(error),
        Poll::Ready(Ok(_)) => Ok(Poll::Ready(())),
        Poll::Pending => Ok(Poll::Pending),
    }
}

/// Writes the end of a chunked body (RFC 9112 §7.1). RFC 9110 §6.5.1: fields that frame, route or
/// authenticate do not stand in trailers.
fn write_last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    use http::header;
    const FORBIDDEN: [header::HeaderName; 12] = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::HOST,
        header::SET_COOKIE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
    ];
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| !FORBIDDEN.contains(name)) {
        write_field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}
