//! [`Reply`]: a response, or one whose head was written before.

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

/// What a service answers that has some of its answers ready.
///
/// A server sends either as it is. Whoever wants to look at the fields makes a response of it first
/// ([`Reply::into_response`]), and layers of responses see nothing else: what is ready has a type
/// of its own, so that no layer is ever passed by.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "both are about as large, and it is moved into place once")]
pub enum Reply {
    /// A response.
    Response(Response<Body>),
    /// One whose head was written before.
    Stored(StoredReply),
}

/// The head of a response that is given again and again, with its lines as HTTP/1.1 has them.
pub trait StoredHead: Send + Sync + 'static {
    /// The status.
    fn status(&self) -> StatusCode;

    /// All fields, with a value of any kind for those that go [`VolatileFields`], which it is best
    /// to have first.
    fn headers(&self) -> &HeaderMap;

    /// The lines of all fields but those that go [`VolatileFields`] and `Content-Length`; `None`
    /// when there are none that can be sent.
    fn lines(&self) -> Option<&Lines>;
}

/// A response with a kept head, and content that is complete in memory.
pub struct StoredReply {
    head: Arc<dyn StoredHead>,
    ahead: Arc<VolatileFields>,
    /// What stands in the place of the head's own lines.
    lines: Option<Lines>,
    /// A line behind them.
    behind: &'static str,
    change: Option<Change>,
    body: Body,
}

/// A change of a head, made for a body.
pub type Change = fn(&mut HeaderMap, &Body);

// === impl Reply ===

impl Reply {
    /// The response, with all its fields.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        match self {
            Self::Response(response) => response,
            Self::Stored(ready) => ready.into_response(),
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Response(response) => response.status(),
            Self::Stored(ready) => ready.head.status(),
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Body {
        match self {
            Self::Response(response) => response.body(),
            Self::Stored(ready) => &ready.body,
        }
    }

    /// The body, to be wrapped or taken when the head is written. That of a ready answer stays one
    /// that is complete.
    pub fn body_mut(&mut self) -> &mut Body {
        match self {
            Self::Response(response) => response.body_mut(),
            Self::Stored(ready) => &mut ready.body,
        }
    }

    /// The first value of a field, if it is one that changes from answer to answer, or the response
    /// is made.
    #[must_use]
    pub fn changing(&self, name: &HeaderName) -> Option<&HeaderValue> {
        match self {
            Self::Response(response) => response.headers().get(name),
            Self::Stored(ready) => ready.ahead.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value),
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
    fn from(ready: StoredReply) -> Self {
        Self::Stored(ready)
    }
}

// === impl StoredReply ===

impl StoredReply {
    /// The answer of this head and this content. `None` when the content is not complete in memory,
    /// when there is none or the status is not of one, and when the head has no lines.
    #[must_use]
    pub fn new(head: Arc<dyn StoredHead>, ahead: Arc<VolatileFields>, body: Body) -> Option<Self> {
        // RFC 9110 §15: what is neither a success with content nor an error is made as a response.
        let status = head.status();
        let has_content = status == StatusCode::OK || status.is_client_error() || status.is_server_error();
        let whole = has_content && body.as_bytes().is_some_and(|bytes| !bytes.is_empty());
        (whole && head.lines().is_some()).then(|| Self { head, ahead, lines: None, behind: "", change: None, body })
    }

    /// The same with other lines and other content. `change` is what makes the header that has
    /// these lines of the one that the head has; it says `Content-Length` as well.
    #[must_use]
    pub fn changed(self, lines: Lines, body: Body, change: Change) -> Self {
        Self { lines: Some(lines), change: Some(change), body, ..self }
    }

    /// The lines of its head after a change, for [`StoredReply::changed`]; `None` when they cannot
    /// be sent.
    #[must_use]
    pub fn lines_after(&self, change: Change, body: &Body) -> Option<Lines> {
        let mut headers = self.head.headers().clone();
        change(&mut headers, body);
        let is_ahead = |name: &HeaderName| self.ahead.fields.iter().any(|(other, _)| other == name);
        let mut text = BytesMut::new();
        let fields = headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH && !is_ahead(name));
        fields.for_each(|(name, value)| Lines::push(&mut text, name, value));
        // Of just its size, as it is kept.
        Lines::read(Bytes::copy_from_slice(&text))
    }

    /// The same with one more line behind the head's. `change` is what does the same to the header.
    #[must_use]
    pub fn followed(self, behind: &'static str, change: Change) -> Self {
        debug_assert!(behind.ends_with("\r\n"), "it is a line");
        Self { behind, change: Some(change), ..self }
    }

    /// The head that is kept, without what was [changed](Self::changed).
    #[must_use]
    pub fn head(&self) -> &dyn StoredHead {
        &*self.head
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// Whether `Date` is among its lines.
    #[must_use]
    pub fn is_dated(&self) -> bool {
        self.lines().is_some_and(Lines::is_dated)
    }

    /// Writes the lines of all fields but `Content-Length`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ahead.text);
        out.extend_from_slice(self.lines().map_or(&[], Lines::as_bytes));
        out.extend_from_slice(self.behind.as_bytes());
    }

    fn lines(&self) -> Option<&Lines> {
        self.lines.as_ref().or_else(|| self.head.lines())
    }

    /// The response, with all its fields.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let mut headers = self.head.headers().clone();
        self.ahead.fill(&mut headers);
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
