//! Decides what to do with a response, by its status and header alone. Pure, except for the cache
//! of content types.

use std::sync::OnceLock;

use dunlin_http::list;
use dunlin_http::media_type::MediaType;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::Types;

/// The decision about a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Leaves it as it is: it is the same for every client.
    Leave,
    /// Adds `Vary` only: it is not encoded itself, but the full response could be.
    Varies,
    /// Adds `Vary` to a 304, and the tag that the full response would have.
    NotModified,
    /// Encodes it if the client accepts a coding, and adds `Vary` in any case.
    Encode,
}

/// The number of slots for content types.
const SLOTS: usize = 64;
/// The limit of a cached content type's length, in bytes.
const MAX_LEN: usize = 128;

/// The listed media types, with a cache by `Content-Type`. A service has few content types, but
/// each response has one.
#[derive(Debug)]
pub(crate) struct TypeCache {
    types: Types,
    /// Content types, and `true` for a listed one. The first in a slot keeps it.
    slots: [OnceLock<(Box<[u8]>, bool)>; SLOTS],
}

/// The fields that the decision depends on. One pass over the header costs less than a look-up of
/// each.
#[derive(Default)]
struct Fields<'h> {
    content_type: Option<&'h HeaderValue>,
    has_coding: bool,
    has_range: bool,
    /// `Cache-Control` may contain `no-transform`.
    may_forbid: bool,
}

/// The status and the header of a response.
#[derive(Clone, Copy)]
pub(crate) struct Head<'h> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'h HeaderMap,
}

/// Decides about a response. `size` is the length of its content in bytes, if it is known.
pub(crate) fn assess(types: &TypeCache, min_size: u64, head: Head<'_>, size: Option<u64>) -> Verdict {
    let Head { status, headers } = head;
    match status {
        // RFC 9110 §15.4.5: a 304 has the fields that the 200 would have had, including `Vary`. It
        // may have no content type. Then that of the 200 is unknown, and an unneeded `Vary` is
        // better than a missing one.
        StatusCode::NOT_MODIFIED => {
            return if is_fixed(headers) || !may_be_listed(&types.types, headers) {
                Verdict::Leave
            } else {
                Verdict::NotModified
            };
        }
        // RFC 9110 §14: ranges are of the identity, because an encoded part cannot be decoded
        // alone. §15.3.7: a 206 has the `Vary` that the 200 would have had.
        StatusCode::PARTIAL_CONTENT => {
            return if is_fixed(headers) || !may_be_listed(&types.types, headers) {
                Verdict::Leave
            } else {
                Verdict::Varies
            };
        }
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => return Verdict::Leave,
        status if status.is_informational() => return Verdict::Leave,
        _ => {}
    }
    // The cheapest check comes first.
    if size.is_some_and(|size| size == 0 || size < min_size) {
        return Verdict::Leave;
    }
    let fields = Fields::of(headers);
    let is_fixed = fields.has_range || fields.has_coding || (fields.may_forbid && has_no_transform(headers));
    if is_fixed || !fields.content_type.is_some_and(|value| types.contains(value)) {
        return Verdict::Leave;
    }
    Verdict::Encode
}

/// Returns `true` if the response is encoded already, or has the `no-transform` of RFC 9111
/// §5.2.2.6.
fn is_fixed(headers: &HeaderMap) -> bool {
    let fields = Fields::of(headers);
    fields.has_coding || (fields.may_forbid && has_no_transform(headers))
}

fn has_no_transform(headers: &HeaderMap) -> bool {
    list::elements(headers, &CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("no-transform"))
}

/// Returns `true` if the full response may have a listed media type, judged by its 304 or 206.
fn may_be_listed(types: &Types, headers: &HeaderMap) -> bool {
    match MediaType::of(headers) {
        Some(media) => types.contains(media.essence()) || media.is("multipart/byteranges"),
        None => !headers.contains_key(CONTENT_TYPE),
    }
}

/// The value of `Content-Length`.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

// === impl Fields ===

impl<'h> Fields<'h> {
    fn of(headers: &'h HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            if *name == CONTENT_TYPE {
                fields.content_type.get_or_insert(value);
            } else if *name == CACHE_CONTROL {
                // No other directive of RFC 9111 has an `f`, so that few lists need to be parsed.
                fields.may_forbid |= memchr::memchr2(b'f', b'F', value.as_bytes()).is_some();
            } else if *name == CONTENT_ENCODING {
                fields.has_coding = true;
            } else if *name == CONTENT_RANGE {
                fields.has_range = true;
            }
        }
        fields
    }
}

// === impl TypeCache ===

impl TypeCache {
    pub(crate) fn new(types: Types) -> Self {
        Self { types, slots: [const { OnceLock::new() }; SLOTS] }
    }

    /// Returns `true` if the media type of this `Content-Type` is listed.
    fn contains(&self, value: &HeaderValue) -> bool {
        let is_listed = || {
            let media = value.to_str().ok().and_then(MediaType::parse);
            media.is_some_and(|media| self.types.contains(media.essence()))
        };
        let (text, middle) = (value.as_bytes(), value.len() / 2);
        let mixed = text.get(middle).map_or(0, |byte| usize::from(*byte)) ^ (text.len() << 2);
        let slot = &self.slots[mixed % SLOTS];
        match slot.get() {
            Some((known, listed)) if **known == *text => *listed,
            Some(_) => is_listed(),
            None if text.len() > MAX_LEN => is_listed(),
            None => {
                let listed = is_listed();
                // Another thread may have filled the slot first, with another type.
                let _ = slot.set((text.into(), listed));
                listed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_agrees_with_the_list() {
        let cache = TypeCache::new(Types::default());
        let types: Vec<_> = (0..500).map(|at| format!("{}/x{at}", ["text", "image"][at % 2])).collect();
        for _ in 0..2 {
            for (at, text) in types.iter().enumerate() {
                let value = HeaderValue::from_str(text).unwrap();
                assert_eq!(cache.contains(&value), at % 2 == 0, "{text}");
            }
        }
        assert!(cache.contains(&HeaderValue::from_static("Text/HTML; charset=utf-8")));
        assert!(!cache.contains(&HeaderValue::from_static("")));
    }
}
