//! [`Reply`]: a response, or a stored one whose header lines are written already.

mod lines;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

pub use lines::{Lines, VolatileFields};

use crate::{Body, BoxError};

/// A response, or a stored one whose header lines are written already.
///
/// A server can send both. A layer that changes fields has to call [`Reply::into_response`] first.
/// The stored response has a type of its own, so that no such layer is bypassed.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the variants have a similar size, and a reply is moved once")]
pub enum Reply {
    /// A response.
    Response(Response<Body>),
    /// A stored response whose header lines are written already.
    Stored(StoredReply),
}

/// The head of a stored response, with its lines in the format of HTTP/1.1.
pub trait StoredHead: Send + Sync + 'static {
    /// The status.
    fn status(&self) -> StatusCode;

    /// All fields. Volatile fields are among them with any value, and replaced the fastest if they
    /// are first.
    fn headers(&self) -> &HeaderMap;

    /// The lines of all fields except the volatile ones and `Content-Length`. `None` if they cannot
    /// be sent.
    fn lines(&self) -> Option<&Lines>;
}

/// A response with a stored head, and content that is complete in memory.
pub struct StoredReply {
    head: Arc<dyn StoredHead>,
    volatile: Arc<VolatileFields>,
    /// The lines that replace those of the head.
    lines: Option<Lines>,
    /// One more line after them.
    last_line: &'static str,
    /// The change of the header that corresponds to the changed lines.
    change: Option<Change>,
    body: Body,
}

/// A change of a header for a body.
pub type Change = fn(&mut HeaderMap, &Body);

// === impl Reply ===

impl Reply {
    /// Makes a response with all fields.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        match self {
            Self::Response(response) => response,
            Self::Stored(stored) => stored.into_response(),
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Response(response) => response.status(),
            Self::Stored(stored) => stored.head.status(),
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Body {
        match self {
            Self::Response(response) => response.body(),
            Self::Stored(stored) => &stored.body,
        }
    }

    /// The body, which can be wrapped or taken after the head has been written. The body of a
    /// stored response has to stay complete.
    pub fn body_mut(&mut self) -> &mut Body {
        match self {
            Self::Response(response) => response.body_mut(),
            Self::Stored(stored) => &mut stored.body,
        }
    }

    /// The first value of a field. Of a stored response, it finds only volatile fields.
    #[must_use]
    pub fn volatile_field(&self, name: &HeaderName) -> Option<&HeaderValue> {
        match self {
            Self::Response(response) => response.headers().get(name),
            Self::Stored(stored) => {
                stored.volatile.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value)
            }
        }
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::Response(Response::default())
    }
}

impl<B> From<Response<B>> for Reply
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn from(response: Response<B>) -> Self {
        Self::Response(response.map(Body::new))
    }
}

impl From<StoredReply> for Reply {
    fn from(stored: StoredReply) -> Self {
        Self::Stored(stored)
    }
}

// === impl StoredReply ===

impl StoredReply {
    /// Makes a stored response. Returns `None` if the content is a stream or empty, if the status
    /// has no content, or if the head has no lines.
    #[must_use]
    pub fn new(head: Arc<dyn StoredHead>, volatile: Arc<VolatileFields>, body: Body) -> Option<Self> {
        // Responses with other statuses may have no content (RFC 9110 §15).
        let status = head.status();
        let has_content = status == StatusCode::OK || status.is_client_error() || status.is_server_error();
        let whole = has_content && body.as_bytes().is_some_and(|bytes| !bytes.is_empty());
        (whole && head.lines().is_some()).then(|| Self {
            head,
            volatile,
            lines: None,
            last_line: "",
            change: None,
            body,
        })
    }

    /// The same response with other lines and other content.
    ///
    /// `change` makes the header with these lines from the header of the head. It also sets
    /// `Content-Length`.
    #[must_use]
    pub fn with_lines(self, lines: Lines, body: Body, change: Change) -> Self {
        Self { lines: Some(lines), change: Some(change), body, ..self }
    }

    /// The lines of the head after a change, for [`StoredReply::with_lines`]. `None` if they cannot
    /// be sent.
    #[must_use]
    pub fn lines_after(&self, change: Change, body: &Body) -> Option<Lines> {
        let mut headers = self.head.headers().clone();
        change(&mut headers, body);
        let is_volatile = |name: &HeaderName| self.volatile.fields.iter().any(|(other, _)| other == name);
        let mut text = BytesMut::new();
        let fields = headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH && !is_volatile(name));
        fields.for_each(|(name, value)| Lines::push(&mut text, name, value));
        // The copy has no unused capacity, because it is kept.
        Lines::parse(Bytes::copy_from_slice(&text))
    }

    /// The same response with one more line. `change` makes the same change to the header.
    #[must_use]
    pub fn with_last_line(self, last_line: &'static str, change: Change) -> Self {
        debug_assert!(last_line.ends_with("\r\n"), "a line ends in CRLF");
        Self { last_line, change: Some(change), ..self }
    }

    /// The stored head, without changes.
    #[must_use]
    pub fn head(&self) -> &dyn StoredHead {
        &*self.head
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// Returns `true` if `Date` is among the lines.
    #[must_use]
    pub fn has_date(&self) -> bool {
        self.lines().is_some_and(Lines::has_date)
    }

    /// Writes the lines of all fields except `Content-Length`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.volatile.text);
        out.extend_from_slice(self.lines().map_or(&[], Lines::as_bytes));
        out.extend_from_slice(self.last_line.as_bytes());
    }

    fn lines(&self) -> Option<&Lines> {
        self.lines.as_ref().or_else(|| self.head.lines())
    }

    /// Makes a response with all fields.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let mut headers = self.head.headers().clone();
        self.volatile.fill(&mut headers);
        if let Some(change) = self.change {
            change(&mut headers, &self.body);
        }
        let mut response = Response::new(self.body);
        *response.status_mut() = self.head.status();
        *response.headers_mut() = headers;
        response
    }
}

impl fmt::Debug for StoredReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredReply")
            .field("status", &self.head.status())
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
