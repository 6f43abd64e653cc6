//! [`Multipart`]: several ranges in one response (RFC 9110 §14.6).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use http::HeaderValue;

use super::ByteRange;

/// The parts of a `multipart/byteranges` besides the ranges: the head of each part, and the end.
#[derive(Clone, Debug)]
pub struct Multipart {
    boundary: String,
    media: Option<HeaderValue>,
    complete: u64,
}

// === impl Multipart ===

impl Multipart {
    /// Makes the parts for a representation of `complete` bytes with this media type.
    #[must_use]
    pub fn new(media: Option<&HeaderValue>, complete: u64) -> Self {
        // A random boundary, so that no author of content can predict it. The keys of `RandomState`
        // are from the system.
        let boundary = format!("dunlin-{:016x}", RandomState::new().build_hasher().finish());
        Self { boundary, media: media.cloned(), complete }
    }

    /// The value of the response's `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> HeaderValue {
        let value = HeaderValue::try_from(format!("multipart/byteranges; boundary={}", self.boundary));
        value.unwrap_or(HeaderValue::from_static("multipart/byteranges"))
    }

    /// The head of the part before the bytes of `range`.
    #[must_use]
    pub fn head(&self, range: ByteRange) -> Bytes {
        let mut head = format!("\r\n--{}\r\n", self.boundary).into_bytes();
        if let Some(media) = &self.media {
            head.extend_from_slice(b"Content-Type: ");
            head.extend_from_slice(media.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        let ByteRange { first, last } = range;
        head.extend_from_slice(format!("Content-Range: bytes {first}-{last}/{}\r\n\r\n", self.complete).as_bytes());
        head.into()
    }

    /// The end after the last range.
    #[must_use]
    pub fn end(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.boundary).into()
    }
}
