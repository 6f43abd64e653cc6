//! [`Lines`] and [`VolatileFields`]: fields, and what they are on the wire.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::BodyId;

/// Lines of fields, as HTTP/1.1 has them (RFC 9112 §5), none of which is about the message or the
/// connection that it is sent in.
#[derive(Clone, Debug)]
pub struct Lines {
    pub(super) text: Bytes,
    id: BodyId,
    dated: bool,
}

/// Fields that go ahead of the kept ones, because they change from answer to answer, and their
/// lines.
#[derive(Clone, Debug)]
pub struct VolatileFields {
    pub(super) fields: Box<[(HeaderName, HeaderValue)]>,
    pub(super) text: Box<[u8]>,
}

/// Fields that are the server's to say. RFC 9110 §7.6.1 names those of the connection.
const OF_THE_MESSAGE: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

// === impl Lines ===

impl Lines {
    /// Writes the line of a field.
    pub fn push(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
        out.reserve(name.as_str().len() + value.len() + 4);
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }

    /// Reads lines that were written by [`Lines::push`]. `None` when some line is no field, or is
    /// about the message or the connection, which is the server's to say: then there is no ready
    /// answer.
    #[must_use]
    pub fn read(text: Bytes) -> Option<Self> {
        let (mut dated, mut rest) = (false, &text[..]);
        while !rest.is_empty() {
            let end = memchr::memmem::find(rest, b"\r\n")?;
            let (line, behind) = (&rest[..end], &rest[end + 2..]);
            let (name, value) = line.split_at(memchr::memmem::find(line, b": ")?);
            let name = HeaderName::from_bytes(name).ok()?;
            HeaderValue::from_bytes(&value[2..]).ok()?;
            if OF_THE_MESSAGE.contains(&name) {
                return None;
            }
            dated |= name == DATE;
            rest = behind;
        }
        Some(Self { text, id: BodyId::new(), dated })
    }

    /// Who these lines are. What is derived from them can be kept by it.
    #[must_use]
    pub const fn id(&self) -> BodyId {
        self.id
    }

    /// Whether `Date` is among them.
    #[must_use]
    pub const fn is_dated(&self) -> bool {
        self.dated
    }

    /// Their text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

// === impl VolatileFields ===

impl VolatileFields {
    /// These fields.
    #[must_use]
    pub fn new(fields: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        let fields: Box<[_]> = fields.into_iter().collect();
        let mut text = BytesMut::new();
        fields.iter().for_each(|(name, value)| Lines::push(&mut text, name, value));
        Self { fields, text: text[..].into() }
    }

    /// The fields.
    #[must_use]
    pub const fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.fields
    }

    /// Puts the fields into the header of a kept head: into their places where they are first, and
    /// else wherever they stand.
    pub fn fill(&self, headers: &mut HeaderMap) {
        let mut places = headers.iter_mut();
        let first = |(name, value): &(HeaderName, HeaderValue)| match places.next() {
            Some((place, old)) if place == name => {
                old.clone_from(value);
                true
            }
            _ => false,
        };
        if !self.fields.iter().all(first) {
            for (name, value) in &self.fields {
                headers.insert(name, value.clone());
            }
        }
    }
}
