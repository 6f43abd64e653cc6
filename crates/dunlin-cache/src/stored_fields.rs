//! The fields of stored responses, and their layout in memory.

use bytes::{Buf, Bytes};
use http::header::{AGE, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::field_names::CACHE_STATUS;

/// The fields that stay the same in every reply, without `Content-Length`, which the server writes.
pub(crate) fn lasting(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    headers.iter().filter(|(name, _)| ![AGE, CACHE_STATUS, CONTENT_LENGTH].contains(name))
}

/// The length of a field's line.
pub(crate) fn line_length(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len() + 4
}

/// The header without spare capacity, its values as slices of `lines`. The fields that change with
/// each reply come first, so that they are found without a look-up.
pub(crate) fn compact(headers: &HeaderMap, mut lines: Bytes, length: Bytes) -> HeaderMap {
    let mut compact = HeaderMap::with_capacity(headers.keys_len() + 1);
    for name in [AGE, CACHE_STATUS] {
        if let Some(value) = headers.get(&name) {
            compact.insert(name, value.clone());
        }
    }
    let shared = |bytes, value: &HeaderValue| HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| value.clone());
    for (name, value) in lasting(headers) {
        let mut own = lines.split_to(line_length(name, value));
        own.advance(name.as_str().len() + 2);
        own.truncate(value.len());
        compact.append(name.clone(), shared(own, value));
    }
    if let Some(value) = headers.get(CONTENT_LENGTH) {
        compact.insert(CONTENT_LENGTH, shared(length, value));
    }
    compact
}

/// The memory that fields take, in bytes.
pub(crate) fn weight(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| 128 + name.as_str().len() + value.len()).sum()
}
