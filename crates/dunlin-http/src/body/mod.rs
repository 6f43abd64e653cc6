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

pub use error::{BodyError, BoxError};
pub use id::BodyId;
pub use limited::Limited;
#[cfg(unix)]
pub use mapped::Mapped;

/// The body of a request or a response: nothing, bytes that are complete, or a stream.
///
/// Only a stream is boxed. The body is [`Unpin`], and its size is exact unless it streams.
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

    /// Any body. A [`Body`] is taken as it is, an empty one costs nothing; any other is boxed as a
    /// stream.
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
            Some(body) if !body.is_end_stream() => Self(Kind::Stream(Box::pin(MapError(body)))),
            _ => Self::empty(),
        }
    }

    /// Complete bytes that will be handed out again under the same `id`, so that what is derived
    /// from them, an encoding say, can be kept. Two bodies with one id must have the same bytes.
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

    /// Says that these complete bytes lie in `mapping`, so that whoever sends them may have the
    /// kernel do it. It changes nothing about a stream.
    #[cfg(unix)]
    #[must_use]
    pub fn mapped(mut self, mapping: Arc<dyn Mapped>) -> Self {
        if let Kind::Once { mapping: known, .. } = &mut self.0 {
            *known = Some(mapping);
        }
        self
    }

    /// The file that has these bytes, if there is one. It travels with the bytes, as [`Body::id`]
    /// does.
    #[cfg(unix)]
    #[must_use]
    pub const fn mapping(&self) -> Option<&Arc<dyn Mapped>> {
        match &self.0 {
            Kind::Once { mapping, .. } => mapping.as_ref(),
            _ => None,
        }
    }

    /// Who these bytes are, if they will come again. It travels with the bytes, so a layer that
    /// replaces the body cannot leave a wrong id behind; it is gone once a frame has been read.
    #[must_use]
    pub fn id(&self) -> Option<BodyId> {
        match &self.0 {
            Kind::Once { id, .. } => *id,
            _ => None,
        }
    }

    /// The content when it is complete in memory; `None` for a stream.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Empty => Some(&[]),
            Kind::Once { bytes, .. } => Some(bytes),
            Kind::Stream(_) => None,
        }
    }

    /// The content when it is complete in memory.
    ///
    /// # Errors
    /// Gives the body back when it is a stream.
    pub fn try_into_bytes(self) -> Result<Bytes, Self> {
        match self.0 {
            Kind::Empty => Ok(Bytes::new()),
            Kind::Once { bytes, .. } => Ok(bytes),
            Kind::Stream(_) => Err(self),
        }
    }

    /// The same body with the errors that other crates know: one that is too large fails with
    /// http-body-util's `LengthLimitError`, which axum's extractors answer with 413.
    #[must_use]
    pub fn with_tower_errors(self) -> Self {
        match self.0 {
            Kind::Stream(stream) => Self::new(stream.map_err(error::into_tower)),
            complete => Self(complete),
        }
    }

    /// The exact length in bytes, when it is known.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        http_body::Body::size_hint(self).exact()
    }

    /// Whether nothing is left to read: no data and no trailers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        http_body::Body::is_end_stream(self)
    }

    /// Reads the whole body into memory, at most `limit` bytes of it. Trailers are dropped.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as more than `limit` bytes are known to come; else what the body failed with.
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

/// A stream whose error is boxed.
struct MapError<B>(B);

impl<B> http_body::Body for MapError<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // SAFETY: the field is pinned with the whole: never moved out, and `MapError` has no `Drop`
        // of its own.
        let inner = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        inner.poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
