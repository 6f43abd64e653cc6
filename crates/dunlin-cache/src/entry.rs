//! [`Entry`]: one stored response.

use std::ops::Deref;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use dunlin_http::{BodyId, Lines, StoredHead};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, EXPIRES};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::client_freshness::ClientFreshness;
use crate::head::Head;
use crate::prefetch::prefetch;
use crate::stored_fields;

/// The approximate size of a field in a `HeaderMap`, without its value.
const FIELD_BYTES: usize = 104;

/// One stored response. It never changes: freshening makes another entry with the same body.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<Arc<HeaderMap>>,
    pub(crate) id: BodyId,
    /// The part of the content that the body is, if it is not the whole.
    pub(crate) part: Option<Part>,
    /// The text of its key, once it is in memory.
    pub(crate) key: Bytes,
    /// The bytes that it takes in memory, once it is there.
    pub(crate) weight: usize,
    /// The lines of its lasting fields, once it is in memory and if it can be sent in this form.
    pub(crate) lines: Option<Lines>,
    /// `true` if the body is in an allocation of exactly its size already.
    body_is_stored: bool,
    /// The address of the first field, only to prefetch it.
    fields_at: usize,
    /// The length of the fields' lines, only to prefetch them.
    lines_length: usize,
}

/// A part of a content: its first byte, and the length of the whole if it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u64,
    pub(crate) whole: Option<u64>,
}

// === impl Entry ===

impl Entry {
    /// The entry of a response with this body.
    pub(crate) fn new(head: Head, body: &Bytes, part: Option<Part>) -> Self {
        Self { body_is_stored: false, ..Self::with_stored_body(head, body.clone(), BodyId::new(), part) }
    }

    /// The entry of a response with the body of another entry.
    pub(crate) fn with_stored_body(mut head: Head, body: Bytes, id: BodyId, part: Option<Part>) -> Self {
        let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        if !bodiless {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if let ClientFreshness::Fixed(value) = &head.client_freshness
            && !head.headers.contains_key(CACHE_CONTROL)
            && !head.headers.contains_key(EXPIRES)
        {
            head.headers.insert(CACHE_CONTROL, value.clone());
            head.client_freshness = ClientFreshness::Inserted;
        }
        Self {
            head,
            body,
            trailers: None,
            id,
            part,
            key: Bytes::new(),
            weight: 0,
            lines: None,
            body_is_stored: true,
            fields_at: 0,
            lines_length: 0,
        }
    }

    /// The entry with these trailers. `Content-Length` goes, because HTTP/1.1 sends trailers only
    /// with a chunked body (RFC 9112 §6.3, §7.1.2).
    pub(crate) fn with_trailers(mut self, trailers: Option<Arc<HeaderMap>>) -> Self {
        if trailers.is_some() {
            self.head.headers.remove(CONTENT_LENGTH);
        }
        Self { trailers, ..self }
    }

    /// Prefetches the data of a plain reply: the fields, and the allocation of the key, the lines
    /// and the body.
    pub(crate) fn prefetch(&self) {
        prefetch(std::ptr::without_provenance(self.fields_at), self.headers.len() * FIELD_BYTES);
        prefetch(self.key.as_ptr(), self.key.len() + self.lines_length + self.body.len());
    }

    /// The entry as it is stored under a key: in few allocations, each of exactly its size.
    ///
    /// A received body may be a slice of a larger read buffer, which would stay allocated with it.
    /// The data of a reply lie side by side, because that is fastest to read.
    pub(crate) fn stored_as(mut self, key: &str) -> Self {
        let body = if self.body_is_stored { &[] } else { &self.body[..] };
        let headers = &self.head.headers;
        let length = headers.get(CONTENT_LENGTH).map_or(&[][..], HeaderValue::as_bytes);
        self.lines_length =
            stored_fields::lasting(headers).map(|(name, value)| stored_fields::line_length(name, value)).sum();
        let mut record = BytesMut::with_capacity(key.len() + self.lines_length + length.len() + body.len());
        record.extend_from_slice(key.as_bytes());
        stored_fields::lasting(headers).for_each(|(name, value)| Lines::push(&mut record, name, value));
        record.extend_from_slice(length);
        record.extend_from_slice(body);
        let mut record = record.freeze();
        self.key = record.split_to(key.len());
        let lines = record.split_to(self.lines_length);
        self.head.headers = stored_fields::compact(headers, lines.clone(), record.split_to(length.len()));
        self.lines = Lines::parse(lines);
        self.fields_at = self.head.headers.keys().next().map_or(0, |name| std::ptr::from_ref(name).addr());
        if !self.body_is_stored {
            self.body = record;
        }
        let trailers = self.trailers.as_deref().map_or(0, stored_fields::weight);
        let bytes = self.key.len() + self.lines_length + self.body.len();
        self.weight = size_of::<Self>() + 64 + self.head.weight() + bytes + trailers + 96;
        self
    }
}

impl Deref for Entry {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl StoredHead for Entry {
    fn status(&self) -> StatusCode {
        self.head.status
    }

    fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    fn lines(&self) -> Option<&Lines> {
        self.lines.as_ref()
    }
}
