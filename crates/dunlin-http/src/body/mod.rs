//! [`Body`]: nothing, complete bytes, or a stream.

mod error;
mod id;
mod limited;
#[cfg(unix)]
mod mapped;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt;
use std::pin::Pin;
#[cfg(unix)]
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use pin_project_lite::pin_project;

pub use error::{BodyError, BoxError};
pub use id::BodyId;
pub use limited::Limited;
#[cfg(unix)]
pub use mapped::Mapped;

/// The body of a request or a response: nothing, complete bytes, or a stream.
///
/// Only a stream is boxed. The body is [`Unpin`], and its size is exact unless it is a stream.
pub struct Body(Kind);

enum Kind {
    Empty,
    Once {
        bytes: Bytes,
        id: Option<BodyId>,
        #[cfg(unix)]
        mapping: Option<Arc<dyn Mapped>>,
    },
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>),
}

// === impl Body ===

impl Body {
    /// A body without content.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Makes a body of any other. A [`Body`] stays the same, a body that has ended becomes empty,
    /// and any other becomes a boxed stream.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        if let Some(same) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>() {
            return same.take().unwrap_or_default();
        }
        match body {
            Some(body) if !body.is_end_stream() => Self(Kind::Stream(Box::pin(BoxedErrors { inner: body }))),
            _ => Self::empty(),
        }
    }

    /// Makes a body of complete bytes that other bodies will have, too, under the same `id`.
    ///
    /// Layers can keep what they derive from the bytes, such as an encoding. Two bodies with one id
    /// must have the same bytes.
    #[must_use]
    pub fn identified(bytes: Bytes, id: BodyId) -> Self {
        Self::once(bytes, Some(id))
    }

    fn once(bytes: Bytes, id: Option<BodyId>) -> Self {
        if bytes.is_empty() {
            return Self::empty();
        }
        Self(Kind::Once {
            bytes,
            id,
            #[cfg(unix)]
            mapping: None,
        })
    }

    /// Adds the file that contains these complete bytes, so that a server can have the kernel send
    /// them. A stream stays unchanged.
    #[cfg(unix)]
    #[must_use]
    pub fn mapped(mut self, mapping: Arc<dyn Mapped>) -> Self {
        if let Kind::Once { mapping: known, .. } = &mut self.0 {
            *known = Some(mapping);
        }
        self
    }

    /// The file that contains these bytes, if there is one.
    #[cfg(unix)]
    #[must_use]
    pub const fn mapping(&self) -> Option<&Arc<dyn Mapped>> {
        match &self.0 {
            Kind::Once { mapping, .. } => mapping.as_ref(),
            _ => None,
        }
    }

    /// The id of these bytes, if they have one.
    ///
    /// The id belongs to the bytes: a layer that replaces the body removes it, and so does the
    /// first frame that is read.
    #[must_use]
    pub fn id(&self) -> Option<BodyId> {
        match &self.0 {
            Kind::Once { id, .. } => *id,
            _ => None,
        }
    }

    /// The content, or `None` for a stream.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Empty => Some(&[]),
            Kind::Once { bytes, .. } => Some(bytes),
            Kind::Stream(_) => None,
        }
    }

    /// Takes the content.
    ///
    /// # Errors
    /// Returns the body if it is a stream.
    pub fn try_into_bytes(self) -> Result<Bytes, Self> {
        match self.0 {
            Kind::Empty => Ok(Bytes::new()),
            Kind::Once { bytes, .. } => Ok(bytes),
            Kind::Stream(_) => Err(self),
        }
    }

    /// The same body with the errors of the tower ecosystem: a body that is too large fails with
    /// http-body-util's `LengthLimitError`, to which axum's extractors respond with 413.
    #[must_use]
    pub fn with_tower_errors(self) -> Self {
        match self.0 {
            Kind::Stream(stream) => Self::new(stream.map_err(error::into_tower)),
            complete => Self(complete),
        }
    }

    /// The exact length in bytes, if it is known.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        http_body::Body::size_hint(self).exact()
    }

    /// Returns `true` if nothing is left to read: no data and no trailers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        http_body::Body::is_end_stream(self)
    }

    /// Reads the whole body into memory, up to `limit` bytes. Trailers are dropped.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as the body is known to have more than `limit` bytes, and
    /// otherwise the error of the body.
    pub async fn collect(self, limit: usize) -> Result<Bytes, BodyError> {
        match self.0 {
            Kind::Empty => Ok(Bytes::new()),
            Kind::Once { bytes, .. } if bytes.len() <= limit => Ok(bytes),
            Kind::Once { .. } => Err(BodyError::TooLarge { limit: limit as u64 }),
            Kind::Stream(stream) => limited::collect(stream, limit).await,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let kind = &mut self.get_mut().0;
        match kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Once { bytes, .. } => {
                let bytes = std::mem::take(bytes);
                *kind = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Once { .. } => false,
            Kind::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Once { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => stream.size_hint(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::once(bytes, None)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Empty => f.write_str("Empty"),
            Kind::Once { bytes, id, .. } => write!(f, "Once({} bytes, {id:?})", bytes.len()),
            Kind::Stream(stream) => write!(f, "Stream({:?})", stream.size_hint()),
        }
    }
}

pin_project! {
    /// A stream whose error is boxed.
    struct BoxedErrors<B> {
        #[pin]
        inner: B,
    }
}

impl<B> http_body::Body for BoxedErrors<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().inner.poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
