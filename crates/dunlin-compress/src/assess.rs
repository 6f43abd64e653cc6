//! What is to be done with an answer, by its head alone. Pure.

use dunlin_http::list;
use dunlin_http::media_type::MediaType;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::response::Parts;
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

/// Looks at an answer: its status, its size in bytes if it is known, its media type, what its head forbids.
pub(crate) fn assess(types: &Types, min_size: u64, parts: &Parts, size: Option<u64>) -> Verdict {
    let headers = &parts.headers;
    match parts.status {
        // RFC 9110 §15.4.5: a 304 has the fields that the 200 would have had, `Vary` among them. It may have no content
        // type, and then the 200's is not known: better a `Vary` too many than one too few.
        StatusCode::NOT_MODIFIED => {
            return if forbidden(headers) || !may_be_listed(types, headers) {
                Verdict::Leave
            } else {
                Verdict::NotModified
            };
        }
        // RFC 9110 §14: ranges are of the identity, for its parts cannot be decoded by themselves. §15.3.7: a 206 has
        // the `Vary` that the 200 would have had.
        StatusCode::PARTIAL_CONTENT => {
            return if forbidden(headers) || !may_be_listed(types, headers) { Verdict::Leave } else { Verdict::Varies };
        }
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => return Verdict::Leave,
        status if status.is_informational() => return Verdict::Leave,
        _ => {}
    }
    // What costs least to tell comes first.
    let small = size.is_some_and(|size| size == 0 || size < min_size);
    let listed = || MediaType::of(headers).is_some_and(|media| types.contains(media.essence()));
    if small || !listed() || forbidden(headers) || headers.contains_key(CONTENT_RANGE) {
        return Verdict::Leave;
    }
    Verdict::Encode
}

/// Whether the head forbids to encode: it is encoded already, or RFC 9111 §5.2.2.6 `no-transform` is said.
fn forbidden(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_ENCODING)
        || (headers.get_all(CACHE_CONTROL).iter().any(may_say_no_transform)
            && list::elements(headers, &CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("no-transform")))
}

/// No other directive of RFC 9111 has an `f`; so nearly no list needs to be taken apart.
fn may_say_no_transform(line: &HeaderValue) -> bool {
    line.as_bytes().iter().any(|byte| byte.eq_ignore_ascii_case(&b'f'))
}

/// Whether the full answer could have a media type that is listed, as far as can be told from a 304 or a 206.
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
