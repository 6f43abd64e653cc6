//! What is to be done with an answer, by its head alone. Pure, but for the content types that are
//! remembered.

use std::sync::OnceLock;

use dunlin_http::list;
use dunlin_http::media_type::MediaType;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::Types;

/// What is to be done with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It would be the same for every client.
    Leave,
    /// It is not encoded, but what it stands for could be: it says `Vary` and nothing more.
    Varies,
    /// A 304: it says `Vary`, and the tag that the full answer would have.
    NotModified,
    /// It is encoded when the client takes a coding, and says `Vary` in any case.
    Encode,
}

/// Content types that are remembered, at most.
const PLACES: usize = 64;
/// The longest that is remembered.
const LONGEST: usize = 128;

/// Which content types are listed. That is worked out once for each: a service has few, and they
/// come with every answer.
#[derive(Debug)]
pub(crate) struct Listed {
    types: Types,
    /// What came first to a place has it for good.
    known: [OnceLock<(Box<[u8]>, bool)>; PLACES],
}

/// The fields that count here, found in one pass over the head: a look-up for each would cost more.
#[derive(Default)]
struct Fields<'h> {
    content_type: Option<&'h HeaderValue>,
    encoded: bool,
    part: bool,
    /// `Cache-Control` may say `no-transform`.
    limited: bool,
}

/// Looks at an answer: its status, its size in bytes if it is known, its media type, what its head
/// forbids.
pub(crate) fn assess(
    listed: &Listed,
    min_size: u64,
    (status, headers): (StatusCode, &HeaderMap),
    size: Option<u64>,
) -> Verdict {
    match status {
        // RFC 9110 §15.4.5: a 304 has the fields that the 200 would have had, `Vary` among them. It
        // may have no content type, and then the 200's is not known: better a `Vary` too many than
        // one too few.
        StatusCode::NOT_MODIFIED => {
            return if forbidden(headers) || !may_be_listed(&listed.types, headers) {
                Verdict::Leave
            } else {
                Verdict::NotModified
            };
        }
        // RFC 9110 §14: ranges are of the identity, for its parts cannot be decoded by themselves.
        // §15.3.7: a 206 has the `Vary` that the 200 would have had.
        StatusCode::PARTIAL_CONTENT => {
            return if forbidden(headers) || !may_be_listed(&listed.types, headers) {
                Verdict::Leave
            } else {
                Verdict::Varies
            };
        }
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => return Verdict::Leave,
        status if status.is_informational() => return Verdict::Leave,
        _ => {}
    }
    // What costs least to tell comes first.
    if size.is_some_and(|size| size == 0 || size < min_size) {
        return Verdict::Leave;
    }
    let fields = Fields::of(headers);
    let forbidden = fields.part || fields.encoded || (fields.limited && says_no_transform(headers));
    if forbidden || !fields.content_type.is_some_and(|value| listed.contains(value)) {
        return Verdict::Leave;
    }
    Verdict::Encode
}

/// Whether the head forbids to encode: it is encoded already, or RFC 9111 §5.2.2.6 `no-transform`
/// is said.
fn forbidden(headers: &HeaderMap) -> bool {
    let fields = Fields::of(headers);
    fields.encoded || (fields.limited && says_no_transform(headers))
}

fn says_no_transform(headers: &HeaderMap) -> bool {
    list::elements(headers, &CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("no-transform"))
}

/// Whether the full answer could have a media type that is listed, as far as can be told from a 304
/// or a 206.
fn may_be_listed(types: &Types, headers: &HeaderMap) -> bool {
    match MediaType::of(headers) {
        Some(media) => types.contains(media.essence()) || media.is("multipart/byteranges"),
        None => !headers.contains_key(CONTENT_TYPE),
    }
}

/// How many bytes of content the answer says that it has.
pub(crate) fn announced(headers: &HeaderMap) -> Option<u64> {
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
                // No other directive of RFC 9111 has an `f`; so nearly no list needs to be taken
                // apart.
                fields.limited |= memchr::memchr2(b'f', b'F', value.as_bytes()).is_some();
            } else if *name == CONTENT_ENCODING {
                fields.encoded = true;
            } else if *name == CONTENT_RANGE {
                fields.part = true;
            }
        }
        fields
    }
}

// === impl Listed ===

impl Listed {
    pub(crate) fn new(types: Types) -> Self {
        Self { types, known: [const { OnceLock::new() }; PLACES] }
    }

    /// Whether content of the type that this `Content-Type` tells is listed.
    fn contains(&self, value: &HeaderValue) -> bool {
        let work_out = || {
            let media = value.to_str().ok().and_then(MediaType::parse);
            media.is_some_and(|media| self.types.contains(media.essence()))
        };
        let (text, middle) = (value.as_bytes(), value.len() / 2);
        let mixed = text.get(middle).map_or(0, |byte| usize::from(*byte)) ^ (text.len() << 2);
        let place = &self.known[mixed % PLACES];
        match place.get() {
            Some((known, listed)) if **known == *text => *listed,
            Some(_) => work_out(),
            None if text.len() > LONGEST => work_out(),
            None => {
                let listed = work_out();
                // Another thread may have been first, with another type.
                let _ = place.set((text.into(), listed));
                listed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_is_listed() {
        let listed = Listed::new(Types::default());
        let types: Vec<_> = (0..500).map(|at| format!("{}/x{at}", ["text", "image"][at % 2])).collect();
        for _ in 0..2 {
            for (at, text) in types.iter().enumerate() {
                let value = HeaderValue::from_str(text).unwrap();
                assert_eq!(listed.contains(&value), at % 2 == 0, "{text}");
            }
        }
        assert!(listed.contains(&HeaderValue::from_static("Text/HTML; charset=utf-8")));
        assert!(!listed.contains(&HeaderValue::from_static("")));
    }
}
