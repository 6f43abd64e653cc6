//! Several ranges in one content (RFC 9110 §14.6).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use http::HeaderValue;

use super::ByteRange;

/// What stands between the ranges of a `multipart/byteranges`: the head of each part, and the end.
#[derive(Clone, Debug)]
pub struct Multipart {
    boundary: String,
    media: Option<HeaderValue>,
    complete: u64,
}

// === impl Multipart ===

impl Multipart {
    /// For a representation of this media type and `complete` bytes.
    #[must_use]
    pub fn new(media: Option<&HeaderValue>, complete: u64) -> Self {
        // Random, so that no content can have it in it by intent: the standard library's keys are
        // from the system.
        let boundary = format!("dunlin-{:016x}", RandomState::new().build_hasher().finish());
        Self { boundary, media: media.cloned(), complete }
    }

    /// The value of the response's own `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> HeaderValue {
        let value = HeaderValue::try_from(format!("multipart/byteranges; boundary={}", self.boundary));
        value.unwrap_or(HeaderValue::from_static("multipart/byteranges"))
    }

    /// What goes before the bytes of a range.
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

    /// What goes after the last range.
    #[must_use]
    pub fn end(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.boundary).into()
    }
}
