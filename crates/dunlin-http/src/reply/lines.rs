//! [`Lines`] and [`VolatileFields`]: header fields that are written already.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::BodyId;

/// Field lines in the format of HTTP/1.1 (RFC 9112 §5), without fields that frame the message or
/// concern the connection.
#[derive(Clone, Debug)]
pub struct Lines {
    pub(super) text: Bytes,
    id: BodyId,
    has_date: bool,
}

/// Fields of a stored response that change from one reply to the next, and their lines. They are
/// written before the stored lines.
#[derive(Clone, Debug)]
pub struct VolatileFields {
    pub(super) fields: Box<[(HeaderName, HeaderValue)]>,
    pub(super) text: Box<[u8]>,
}

/// Fields that the server sets: those that frame the message, and hop-by-hop fields (RFC 9110
/// §7.6.1).
const SERVER_FIELDS: [HeaderName; 8] = [
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
    /// Appends the line of a field.
    pub fn push(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
        out.reserve(name.as_str().len() + value.len() + 4);
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }

    /// Parses lines that were written by [`Lines::push`]. Returns `None` if a line is not a field,
    /// or is a field that the server sets.
    #[must_use]
    pub fn parse(text: Bytes) -> Option<Self> {
        let (mut has_date, mut rest) = (false, &text[..]);
        while !rest.is_empty() {
            let end = memchr::memmem::find(rest, b"\r\n")?;
            let (line, after) = (&rest[..end], &rest[end + 2..]);
            let (name, value) = line.split_at(memchr::memmem::find(line, b": ")?);
            let name = HeaderName::from_bytes(name).ok()?;
            HeaderValue::from_bytes(&value[2..]).ok()?;
            if SERVER_FIELDS.contains(&name) {
                return None;
            }
            has_date |= name == DATE;
            rest = after;
        }
        Some(Self { text, id: BodyId::new(), has_date })
    }

    /// The id of these lines. Layers can keep what they derive from the lines under it.
    #[must_use]
    pub const fn id(&self) -> BodyId {
        self.id
    }

    /// Returns `true` if `Date` is among the lines.
    #[must_use]
    pub const fn has_date(&self) -> bool {
        self.has_date
    }

    /// The text of the lines.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

// === impl VolatileFields ===

impl VolatileFields {
    /// Makes the lines of these fields.
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

    /// Sets the fields in the header of a stored head. If they are its first fields, their values
    /// are replaced without look-ups.
    pub fn fill(&self, headers: &mut HeaderMap) {
        let mut entries = headers.iter_mut();
        let replace = |(name, value): &(HeaderName, HeaderValue)| match entries.next() {
            Some((key, old)) if key == name => {
                old.clone_from(value);
                true
            }
            _ => false,
        };
        if !self.fields.iter().all(replace) {
            for (name, value) in &self.fields {
                headers.insert(name, value.clone());
            }
        }
    }
}
