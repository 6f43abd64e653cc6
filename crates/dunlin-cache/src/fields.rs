//! The fields of what is stored: which of them last, and how they lie in memory.

use bytes::{Buf, Bytes};
use http::header::{AGE, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::entry::CACHE_STATUS;

/// The fields that stay the same for as long as an answer is stored, but for its length, which the
/// server says.
pub(crate) fn lasting(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    headers.iter().filter(|(name, _)| ![AGE, CACHE_STATUS, CONTENT_LENGTH].contains(name))
}

/// How long the line of a field is.
pub(crate) fn line(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len() + 4
}

/// The header with no room to spare, and its values taken from where their lines lie. The fields
/// that change with each answer come first, where they are found without a look-up.
pub(crate) fn compact(headers: &HeaderMap, mut lines: Bytes, length: Bytes) -> HeaderMap {
    let mut compact = HeaderMap::with_capacity(headers.keys_len() + 1);
    for name in [AGE, CACHE_STATUS] {
        if let Some(value) = headers.get(&name) {
            compact.insert(name, value.clone());
        }
    }
    let shared = |bytes, value: &HeaderValue| HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| value.clone());
    for (name, value) in lasting(headers) {
        let mut own = lines.split_to(line(name, value));
        own.advance(name.as_str().len() + 2);
        own.truncate(value.len());
        compact.append(name.clone(), shared(own, value));
    }
    if let Some(value) = headers.get(CONTENT_LENGTH) {
        compact.insert(CONTENT_LENGTH, shared(length, value));
    }
    compact
}

/// What fields take in memory.
pub(crate) fn weight(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| 128 + name.as_str().len() + value.len()).sum()
}
