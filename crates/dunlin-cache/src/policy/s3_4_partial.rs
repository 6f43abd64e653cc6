//! Parts of a content (RFC 9111 §3.3 and §3.4; RFC 9110 §14): which part is asked for, which one
//! came, and how parts combine.

use bytes::{Bytes, BytesMut};
use dunlin_http::conditional::ETag;
use dunlin_http::date;
use http::header::{CONTENT_RANGE, DATE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue};

use crate::entry::Part;

/// The part that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// From here to there, both included; the end is the content's when it is not said.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

/// What is left of a range for a content of known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Satisfied {
    /// These bytes: first, and how many.
    Bytes(u64, u64),
    /// None of it is there: 416.
    Not,
}

/// The one byte range that a request asks for, as far as it is the origin's or a stored part's to
/// answer; `None` where there is none, or several, or something else: the whole will do (RFC 9110
/// §14.2).
pub(crate) fn asked(request: &HeaderMap) -> Option<Asked> {
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
        ("", last) => number(last).map(Asked::Last),
        (first, "") => number(first).map(|first| Asked::From(first, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Asked::From(first, Some(last)))
        }
    }
}

/// Whether `If-Range` lets the range count for a stored response (RFC 9110 §13.1.5).
pub(crate) fn if_range_holds(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(condition) = request.get(IF_RANGE) else { return true };
    let Ok(text) = condition.to_str() else { return false };
    if let Some(etag) = ETag::parse(text) {
        return ETag::of(stored).is_some_and(|stored| stored.strong_eq(&etag));
    }
    // A date is a strong validator only when the response is clearly younger than the change (RFC
    // 9110 §8.8.2.2).
    let (Some(changed), Some(dated)) = (stored.get(LAST_MODIFIED), stored.get(DATE)) else { return false };
    let strong = match (date::parse(changed), date::parse(dated)) {
        (Some(changed), Some(dated)) => dated.duration_since(changed).is_ok_and(|apart| apart.as_secs() >= 1),
        _ => false,
    };
    strong && changed == condition
}

/// What a range comes to in a content of this length.
pub(crate) fn satisfy(asked: Asked, length: u64) -> Satisfied {
    match asked {
        Asked::From(first, last) if first < length => {
            let last = last.unwrap_or(u64::MAX).min(length - 1);
            Satisfied::Bytes(first, last - first + 1)
        }
        Asked::Last(count) if count > 0 && length > 0 => {
            let count = count.min(length);
            Satisfied::Bytes(length - count, count)
        }
        _ => Satisfied::Not,
    }
}

/// Which part a 206 has, by `Content-Range` and its content's length. `None` when it does not say,
/// or not what it has.
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
    // content and miscounts where that is has still sent the end, and the framing tells how much of
    // it. What it sent is what there is.
    (whole == Some(last + 1)).then_some(Part { first, whole: Some(first + length) })
}

/// What a range comes to in a stored part: where it begins within the part, and how long it is.
/// `None` if it is not all there.
pub(crate) fn within(asked: Asked, part: Part, length: u64) -> Option<(u64, u64)> {
    let end = part.first + length;
    let (first, count) = match (part.whole, asked) {
        (Some(whole), asked) => match satisfy(asked, whole) {
            Satisfied::Bytes(first, count) => (first, count),
            Satisfied::Not => return None,
        },
        (None, Asked::From(first, Some(last))) => (first, last - first + 1),
        (None, _) => return None,
    };
    (first >= part.first && first + count <= end).then(|| (first - part.first, count))
}

/// The value of `Content-Range`.
pub(crate) fn content_range(first: u64, count: u64, whole: Option<u64>) -> HeaderValue {
    let whole = whole.map_or_else(|| "*".to_owned(), |whole| whole.to_string());
    let text = format!("bytes {first}-{}/{whole}", first + count - 1);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("bytes */*"))
}

/// Whether two answers have parts of one content: both have the same strong validator (RFC 9110
/// §15.3.7.3).
pub(crate) fn combinable(stored: &HeaderMap, new: &HeaderMap) -> bool {
    match (stored.get(ETAG), new.get(ETAG)) {
        (Some(_), Some(_)) => {
            let (stored, new) = (ETag::of(stored), ETag::of(new));
            stored.zip(new).is_some_and(|(stored, new)| stored.strong_eq(&new))
        }
        _ => false,
    }
}

/// Two parts as one, if they meet or overlap.
pub(crate) fn combine(one: (Part, &Bytes), other: (Part, &Bytes)) -> Option<(Part, Bytes)> {
    let ((low, low_bytes), (high, high_bytes)) = if one.0.first <= other.0.first { (one, other) } else { (other, one) };
    if low.whole.zip(high.whole).is_some_and(|(one, other)| one != other) {
        return None;
    }
    let low_end = low.first + low_bytes.len() as u64;
    // What comes second begins where the first has ended, or before.
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
    fn ranges_are_read() {
        let of = |text: &str| asked(&HeaderMap::from_iter([(RANGE, text.parse().unwrap())]));
        assert_eq!(of("bytes=0-1"), Some(Asked::From(0, Some(1))));
        assert_eq!(of("Bytes=5-"), Some(Asked::From(5, None)));
        assert_eq!(of("bytes=-5"), Some(Asked::Last(5)));
        for not in ["bytes=", "bytes=-", "bytes=2-1", "bytes=0-1,3-4", "bytes=+1-2", "lines=1-2", "bytes 1-2"] {
            assert_eq!(of(not), None, "{not}");
        }
    }

    #[test]
    fn parts_are_read_and_looked_into() {
        let of = |text: &str, length| received(&HeaderMap::from_iter([(CONTENT_RANGE, text.parse().unwrap())]), length);
        let part = Part { first: 4, whole: Some(10) };
        assert_eq!(of("bytes 4-8/10", 5), Some(part));
        assert_eq!(of("bytes 4-9/10", 5), Some(Part { first: 4, whole: Some(9) }));
        assert_eq!(of("bytes 4-8/*", 5), Some(Part { first: 4, whole: None }));
        assert_eq!(of("bytes 4-8/10", 4), None);
        assert_eq!(of("bytes 4-10/10", 7), None);
        assert_eq!(within(Asked::From(6, Some(8)), part, 5), Some((2, 3)));
        assert_eq!(within(Asked::From(6, None), part, 5), None);
        assert_eq!(within(Asked::Last(1), part, 6), Some((5, 1)));
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
