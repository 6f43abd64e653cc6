//! The boundaries of requests in a stream of bytes, by RFC 9112.
//!
//! [`Framer`] splits the bytes of a socket into heads and pieces of bodies. It accepts only bytes
//! with one meaning, so that nothing ambiguous reaches a handler. It does no IO: its input is
//! bytes, and its output is requests or a rejection.

mod body;
mod chunked;
mod frames;
mod head;
mod host;
#[cfg(test)]
mod tests;

use bytes::{Buf, BytesMut};
use http::{Request, StatusCode};

use body::Body;
pub(crate) use body::Piece;
pub(crate) use frames::{Fault, FrameMeter};
pub(crate) use head::{Head, has_token, length, members};
pub(crate) use host::is_host;

/// The limits of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    pub(crate) bytes: usize,
    pub(crate) fields: usize,
    pub(crate) target: usize,
}

/// Finds requests in a stream of bytes.
#[derive(Debug)]
pub(crate) struct Framer {
    /// Bytes that were received and not taken yet.
    held: BytesMut,
    /// The first `seen` bytes of `held` are a valid prefix of an incomplete head.
    seen: usize,
    /// Empty lines since the last request.
    empty_lines: u8,
    /// The body of the last request, until its end.
    body: Option<Body>,
    limits: HeadLimits,
    /// `true` if the last head, even a rejected one, is one of a HEAD request.
    is_head: bool,
}

/// The limit of empty lines before a request.
const MAX_EMPTY_LINES: u8 = 2;

/// The framing of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// A rejected request, with the status of the response. The connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) status: StatusCode,
    pub(crate) detail: &'static str,
}

// === impl Framer ===

impl Framer {
    /// Begins with `held`, which was read before.
    pub(crate) const fn new(held: BytesMut, limits: HeadLimits) -> Self {
        Self { held, seen: 0, empty_lines: 0, body: None, limits, is_head: false }
    }

    /// The bytes that are not taken yet, to add more.
    pub(crate) const fn held(&mut self) -> &mut BytesMut {
        &mut self.held
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Frees an empty buffer.
    pub(crate) fn park(&mut self) {
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    pub(crate) fn into_held(self) -> BytesMut {
        self.held
    }

    /// Takes the next head, once it is complete. Its parts go into `request`, a new one that may
    /// have memory for fields.
    ///
    /// Only valid while no body is left.
    pub(crate) fn head<B>(&mut self, request: &mut Request<B>) -> Result<Option<Head>, Reject> {
        // RFC 9112 §2.2: at least one empty line before a request line is ignored. Many of them
        // only keep a connection busy.
        while self.held.starts_with(b"\r\n") {
            if self.empty_lines == MAX_EMPTY_LINES {
                return Err(Reject::bad("there are too many empty lines before the request line"));
            }
            self.empty_lines += 1;
            self.held.advance(2);
            self.seen = 0;
        }
        if self.held.is_empty() {
            return Ok(None);
        }
        self.is_head = self.held.starts_with(b"HEAD ");
        let Some(head) = self.take_head(request)? else { return Ok(None) };
        self.empty_lines = 0;
        self.body = match head.framing {
            Framing::Length(0) => None,
            Framing::Length(length) => Some(Body::Length(length)),
            Framing::Chunked => Some(Body::chunked()),
        };
        Ok(Some(head))
    }

    fn take_head<B>(&mut self, request: &mut Request<B>) -> Result<Option<Head>, Reject> {
        if self.seen == 0
            && let Some(head) = head::take_plain(&mut self.held, &self.limits, request)
        {
            return head.map(Some);
        }
        let Some(len) = head::end(&self.held, self.seen, &self.limits)? else {
            self.seen = self.held.len();
            return Ok(None);
        };
        self.seen = 0;
        let head = self.held.split_to(len).freeze();
        head::read(&head, &self.limits, request).map(Some)
    }

    /// Takes the next piece of the body. Returns `None` if there is none yet.
    pub(crate) fn piece(&mut self) -> Result<Option<Piece>, Reject> {
        let Some(body) = &mut self.body else { return Ok(Some(Piece::End(None))) };
        let piece = body.next(&mut self.held, &self.limits)?;
        if matches!(piece, Some(Piece::End(_))) || self.body == Some(Body::Length(0)) {
            self.body = None;
        }
        Ok(piece)
    }

    /// Returns `true` if the rejected head began like a HEAD request, whose response has no
    /// content.
    pub(crate) const fn rejected_head(&self) -> bool {
        self.is_head
    }

    /// Returns `true` if the next byte belongs to a body.
    pub(crate) const fn in_body(&self) -> bool {
        self.body.is_some()
    }

    /// The bytes of the body's data that are still to come, where that is known.
    pub(crate) const fn left(&self) -> Option<u64> {
        match self.body {
            None => Some(0),
            Some(Body::Length(left)) => Some(left),
            Some(Body::Chunked(_)) => None,
        }
    }
}

// === impl Reject ===

impl Reject {
    pub(crate) const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self { status, detail }
    }

    /// 400 (RFC 9110 §15.5.1).
    pub(crate) const fn bad(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}
