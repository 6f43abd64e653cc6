//! Parts of a content (RFC 9111 §3.3 and §3.4; RFC 9110 §14): requested, received and combined.

use bytes::{Bytes, BytesMut};
use dunlin_http::conditional::ETag;
use dunlin_http::date;
use http::header::{CONTENT_RANGE, DATE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue};

use crate::entry::Part;

/// The range of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requested {
    /// From the first byte to the last, both included. Without a last byte, to the end.
    From(u64, Option<u64>),
    /// This number of bytes at the end.
    Last(u64),
}

/// Consecutive bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) count: u64,
}

/// The range of a request with exactly one byte range. Other requests are answered with the whole
/// content (RFC 9110 §14.2).
pub(crate) fn requested(request: &HeaderMap) -> Option<Requested> {
    let text = request.get(RANGE)?.to_str().ok()?;
    let (unit, set) = text.split_once('=')?;
    let set = set.trim_matches([' ', '\t']);
    if !unit.eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.split_once('-')?;
    let number = |digits: &str| -> Option<u64> {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    match (first, last) {
        ("", last) => number(last).map(Requested::Last),
        (first, "") => number(first).map(|first| Requested::From(first, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Requested::From(first, Some(last)))
        }
    }
}

/// Returns `true` if `If-Range` allows a range of a stored response (RFC 9110 §13.1.5).
pub(crate) fn if_range_holds(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(condition) = request.get(IF_RANGE) else { return true };
    let Ok(text) = condition.to_str() else { return false };
    if let Some(etag) = ETag::parse(text) {
        return ETag::of(stored).is_some_and(|stored| stored.strong_eq(&etag));
    }
    // RFC 9110 §8.8.2.2: a date is a strong validator only if the response is at least a second
    // younger than the change.
    let (Some(changed), Some(dated)) = (stored.get(LAST_MODIFIED), stored.get(DATE)) else { return false };
    let strong = match (date::parse(changed), date::parse(dated)) {
        (Some(changed), Some(dated)) => dated.duration_since(changed).is_ok_and(|apart| apart.as_secs() >= 1),
        _ => false,
    };
    strong && changed == condition
}

/// The bytes of a range in a content of this length. Returns `None` if there are none.
fn satisfy(requested: Requested, length: u64) -> Option<Span> {
    match requested {
        Requested::From(first, last) if first < length => {
            let last = last.unwrap_or(u64::MAX).min(length - 1);
            Some(Span { first, count: last - first + 1 })
        }
        Requested::Last(count) if count > 0 && length > 0 => {
            let count = count.min(length);
            Some(Span { first: length - count, count })
        }
        _ => None,
    }
}

/// The part that a 206 contains, by its `Content-Range` and the length of its body. Returns `None`
/// if the two do not agree.
pub(crate) fn received(headers: &HeaderMap, length: u64) -> Option<Part> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (unit, rest) = text.split_once(' ')?;
    let (range, whole) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    let whole = if whole == "*" { None } else { Some(whole.parse::<u64>().ok()?) };
    if !unit.eq_ignore_ascii_case("bytes") || first > last || whole.is_some_and(|whole| last >= whole) || length == 0 {
        return None;
    }
    if last - first + 1 == length {
        return Some(Part { first, whole });
    }
    // Deviates from RFC 9110 §14.4, which calls this invalid: an origin that sends the end of its
    // content, but counts its position wrongly, has still sent the end, and the framing has its
    // length.
    (whole == Some(last + 1)).then_some(Part { first, whole: Some(first + length) })
}

/// The bytes of a range, counted from the start of a stored part. Returns `None` if the part does
/// not contain all of them.
pub(crate) fn within(requested: Requested, part: Part, length: u64) -> Option<Span> {
    let end = part.first + length;
    let Span { first, count } = match (part.whole, requested) {
        (Some(whole), requested) => satisfy(requested, whole)?,
        (None, Requested::From(first, Some(last))) => Span { first, count: last - first + 1 },
        (None, _) => return None,
    };
    (first >= part.first && first + count <= end).then(|| Span { first: first - part.first, count })
}

/// The value of `Content-Range`.
pub(crate) fn content_range(first: u64, count: u64, whole: Option<u64>) -> HeaderValue {
    let whole = whole.map_or_else(|| "*".to_owned(), |whole| whole.to_string());
    let text = format!("bytes {first}-{}/{whole}", first + count - 1);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("bytes */*"))
}

/// Returns `true` if two responses have parts of one content: they have the same strong validator
/// (RFC 9110 §15.3.7.3).
pub(crate) fn combinable(stored: &HeaderMap, new: &HeaderMap) -> bool {
    match (stored.get(ETAG), new.get(ETAG)) {
        (Some(_), Some(_)) => {
            let (stored, new) = (ETag::of(stored), ETag::of(new));
            stored.zip(new).is_some_and(|(stored, new)| stored.strong_eq(&new))
        }
        _ => false,
    }
}

/// Joins two parts if they meet or overlap.
pub(crate) fn combine(one: (Part, &Bytes), other: (Part, &Bytes)) -> Option<(Part, Bytes)> {
    let ((low, low_bytes), (high, high_bytes)) = if one.0.first <= other.0.first { (one, other) } else { (other, one) };
    if low.whole.zip(high.whole).is_some_and(|(one, other)| one != other) {
        return None;
    }
    let low_end = low.first + low_bytes.len() as u64;
    // The second part must not begin after the end of the first.
    let overlap = usize::try_from(low_end.checked_sub(high.first)?).ok()?;
    let rest = high_bytes.get(overlap..).unwrap_or_default();
    let mut joined = BytesMut::with_capacity(low_bytes.len() + rest.len());
    joined.extend_from_slice(low_bytes);
    joined.extend_from_slice(rest);
    Some((Part { first: low.first, whole: low.whole.or(high.whole) }, joined.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed() {
        let of = |text: &str| requested(&HeaderMap::from_iter([(RANGE, text.parse().unwrap())]));
        assert_eq!(of("bytes=0-1"), Some(Requested::From(0, Some(1))));
        assert_eq!(of("Bytes=5-"), Some(Requested::From(5, None)));
        assert_eq!(of("bytes=-5"), Some(Requested::Last(5)));
        for not in ["bytes=", "bytes=-", "bytes=2-1", "bytes=0-1,3-4", "bytes=+1-2", "lines=1-2", "bytes 1-2"] {
            assert_eq!(of(not), None, "{not}");
        }
    }

    #[test]
    fn parts_are_parsed_and_searched() {
        let of = |text: &str, length| received(&HeaderMap::from_iter([(CONTENT_RANGE, text.parse().unwrap())]), length);
        let part = Part { first: 4, whole: Some(10) };
        assert_eq!(of("bytes 4-8/10", 5), Some(part));
        assert_eq!(of("bytes 4-9/10", 5), Some(Part { first: 4, whole: Some(9) }));
        assert_eq!(of("bytes 4-8/*", 5), Some(Part { first: 4, whole: None }));
        assert_eq!(of("bytes 4-8/10", 4), None);
        assert_eq!(of("bytes 4-10/10", 7), None);
        assert_eq!(within(Requested::From(6, Some(8)), part, 5), Some(Span { first: 2, count: 3 }));
        assert_eq!(within(Requested::From(6, None), part, 5), None);
        assert_eq!(within(Requested::Last(1), part, 6), Some(Span { first: 5, count: 1 }));
    }

    proptest::proptest! {
        #[test]
        fn parts_of_one_content_combine_to_it(content: Vec<u8>, cuts: [usize; 4]) {
            let content = Bytes::from(content);
            let cut = |at: usize| cuts[at] % (content.len() + 1);
            let take = |a: usize, b: usize| {
                let (a, b) = (a.min(b), a.max(b));
                (Part { first: a as u64, whole: Some(content.len() as u64) }, content.slice(a..b))
            };
            let (one, other) = (take(cut(0), cut(1)), take(cut(2), cut(3)));
            if let Some((part, bytes)) = combine((one.0, &one.1), (other.0, &other.1)) {
                let first = part.first as usize;
                proptest::prop_assert_eq!(&content[first..first + bytes.len()], &bytes[..]);
                proptest::prop_assert!(bytes.len() >= one.1.len().max(other.1.len()));
            }
        }
    }
}
