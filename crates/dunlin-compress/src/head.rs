//! The head of an answer, brought in line with what happens to its body. Pure.

use bytes::{BufMut, BytesMut};
use dunlin_http::conditional::etags;
use dunlin_http::negotiate::Coding;
use dunlin_http::vary;
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Digests of the content or the representation as it was (RFC 9530, and what came before it). Both
/// include the coding (RFC 9530 §2 and §3), so they are wrong now; and they are not made anew, as a
/// stream's head is sent before its end.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// RFC 9110 §12.5.5: the answer depends on what the client accepts.
pub(crate) fn varies(headers: &mut HeaderMap) {
    vary::add(headers, "accept-encoding");
}

/// Says that the content is encoded, and takes back what is no longer so. `length` is the new one,
/// if it is known.
pub(crate) fn encoded(headers: &mut HeaderMap, coding: Coding, length: Option<HeaderValue>) {
    varies(headers);
    headers.insert(CONTENT_ENCODING, coding.to_value());
    match length {
        Some(length) => headers.insert(CONTENT_LENGTH, length),
        None => headers.remove(CONTENT_LENGTH),
    };
    weaken(headers);
    // RFC 9110 §14.3: ranges of the encoded content are not served.
    headers.remove(ACCEPT_RANGES);
    // One pass tells that there are none, as nearly always.
    if headers.keys().any(|name| DIGESTS.contains(name)) {
        DIGESTS.iter().for_each(|name| drop(headers.remove(name)));
    }
}

/// The content is no longer encoded: takes back what was about the encoded one.
pub(crate) fn decoded(headers: &mut HeaderMap) {
    varies(headers);
    [CONTENT_ENCODING, CONTENT_LENGTH, ACCEPT_RANGES].iter().for_each(|name| drop(headers.remove(name)));
    DIGESTS.iter().for_each(|name| drop(headers.remove(name)));
    weaken(headers);
}

/// Brings a 304 in line. RFC 9110 §15.4.5 asks for the tag that the 200 would have had, and whether
/// that would have been encoded is told by the tag that the client has; if none is the answer's
/// own, by whether it takes a coding now.
pub(crate) fn not_modified(headers: &mut HeaderMap, if_none_match: Option<&HeaderValue>, takes_coding: bool) {
    varies(headers);
    let Some(strong) = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"')) else {
        return;
    };
    let has = |weak: bool| {
        let list = if_none_match.and_then(|line| line.to_str().ok()).unwrap_or_default();
        etags(list).any(|tag| tag.is_weak() == weak && tag.to_string().trim_start_matches("W/") == strong)
    };
    if has(true) || (takes_coding && !has(false)) {
        weaken(headers);
    }
}

/// RFC 9110 §8.8.3.3: a strong tag names bytes, and the encoded content's bytes are others, not
/// even always the same. A weak one still tells whether the content has changed.
fn weaken(headers: &mut HeaderMap) {
    if let Some(tag) = headers.get_mut(ETAG)
        && tag.as_bytes().starts_with(b"\"")
    {
        let mut weak = BytesMut::with_capacity(tag.len() + 2);
        weak.put_slice(b"W/");
        weak.put_slice(tag.as_bytes());
        if let Ok(weak) = HeaderValue::from_maybe_shared(weak.freeze()) {
            *tag = weak;
        }
    }
}
