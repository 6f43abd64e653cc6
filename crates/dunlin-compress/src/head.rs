//! Changes the header of a response whose body is encoded or decoded. Pure.

use bytes::{BufMut, BytesMut};
use dunlin_http::conditional::etags;
use dunlin_http::negotiate::Coding;
use dunlin_http::vary;
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields with digests of the content or the representation: those of RFC 9530, and older ones.
///
/// The digests include the coding (RFC 9530 §2 and §3), so that another coding makes them wrong.
/// They are removed and not computed again, because a stream's header is sent before its end.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// RFC 9110 §12.5.5: adds that the response depends on `Accept-Encoding`.
pub(crate) fn varies(headers: &mut HeaderMap) {
    vary::add(headers, "accept-encoding");
}

/// Changes the header for encoded content. `length` is the new length, if it is known.
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
    // One pass is enough to find that there are none, which is the usual case.
    if headers.keys().any(|name| DIGESTS.contains(name)) {
        DIGESTS.iter().for_each(|name| drop(headers.remove(name)));
    }
}

/// Changes the header for decoded content.
pub(crate) fn decoded(headers: &mut HeaderMap) {
    varies(headers);
    [CONTENT_ENCODING, CONTENT_LENGTH, ACCEPT_RANGES].iter().for_each(|name| drop(headers.remove(name)));
    DIGESTS.iter().for_each(|name| drop(headers.remove(name)));
    weaken(headers);
}

/// Changes the header of a 304. RFC 9110 §15.4.5: it has the tag that the 200 would have had.
///
/// The tag in the request shows if the client's content was encoded. Without a matching tag, the
/// 200 would be encoded if the client accepts a coding now.
pub(crate) fn not_modified(headers: &mut HeaderMap, if_none_match: Option<&HeaderValue>, accepts_coding: bool) {
    varies(headers);
    let Some(strong) = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"')) else {
        return;
    };
    let has = |weak: bool| {
        let list = if_none_match.and_then(|line| line.to_str().ok()).unwrap_or_default();
        etags(list).any(|tag| tag.is_weak() == weak && tag.to_string().trim_start_matches("W/") == strong)
    };
    if has(true) || (accepts_coding && !has(false)) {
        weaken(headers);
    }
}

/// RFC 9110 §8.8.3.3: makes the tag weak. A strong tag identifies bytes, and the bytes of an
/// encoding differ, even from one encoding to the next. A weak one still detects a change of the
/// content.
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
