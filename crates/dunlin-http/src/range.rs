//! Byte ranges (RFC 9110 §14) and `If-Range` (§13.1.5).
//!
//! [`resolve`] is a pure function of a request's header and the length of the selected
//! representation. The caller calls it only for GET requests whose status would be 200.

mod multipart;

use std::time::{Duration, SystemTime};

use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use crate::conditional::{ETag, Validators};
use crate::{date, list};
pub use multipart::Multipart;

/// The limit of ranges in one request. A request with more gets the whole representation.
pub const MAX_RANGES: usize = 16;

/// Ranges with a smaller gap are joined, because the head of a part has more bytes than the gap.
const MAX_GAP: u64 = 80;

/// The bytes from `first` to `last`, both included, as in `Content-Range`. A range is never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The index of the first byte.
    pub first: u64,
    /// The index of the last byte, at least `first`.
    pub last: u64,
}

/// The parts of a representation to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it, with 200. The request has no valid `Range`.
    Whole,
    /// One range, with 206 and `Content-Range`.
    One(ByteRange),
    /// Several ranges that neither overlap nor touch, with 206 and `multipart/byteranges`
    /// ([`Multipart`]).
    Many(SmallVec<[ByteRange; 4]>),
    /// Nothing, with 416 and [`unsatisfied`].
    Unsatisfiable,
}

/// A range as written in the request.
#[derive(Clone, Copy)]
enum Spec {
    From { first: u64, last: u64 },
    Suffix(u64),
}

// === impl ByteRange ===

impl ByteRange {
    /// The number of bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// The value of `Content-Range` for a representation of `complete` bytes (RFC 9110 §14.4).
    #[must_use]
    pub fn content_range(&self, complete: u64) -> HeaderValue {
        value(format!("bytes {}-{}/{complete}", self.first, self.last))
    }
}

/// The value of `Content-Range` in a 416 (RFC 9110 §14.4).
#[must_use]
pub fn unsatisfied(complete: u64) -> HeaderValue {
    value(format!("bytes */{complete}"))
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("bytes */*"))
}

/// Selects the parts of a representation of `len` bytes, by the `Range` of a GET request.
///
/// The field is ignored if it is malformed, has another unit than bytes, has several lines, or has
/// more than [`MAX_RANGES`] ranges. If ranges overlap or nearly touch, they are joined, and all are
/// in ascending order. Otherwise they keep the order of the request.
#[must_use]
pub fn resolve(headers: &HeaderMap, len: u64) -> Selection {
    let mut lines = headers.get_all(RANGE).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().map_or(Selection::Whole, |line| select(line, len)),
        _ => Selection::Whole,
    }
}

/// Returns `true` if the request has no `If-Range`, or one that matches this representation with a
/// strong comparison. Otherwise its `Range` has to be ignored.
///
/// A date matches if it equals `Last-Modified`, and that is at least one second ago. A newer file
/// could have changed twice within the second of the date (RFC 9110 §8.8.2.2).
#[must_use]
pub fn if_range(headers: &HeaderMap, validators: &Validators, now: SystemTime) -> bool {
    let mut lines = headers.get_all(IF_RANGE).iter();
    let Some(line) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    // RFC 9110 §13.1.5: the first three characters distinguish a tag from a date.
    if let Some(tag) = line.to_str().ok().and_then(ETag::parse) {
        return validators.etag.as_ref().is_some_and(|etag| etag.strong_eq(&tag));
    }
    let (Some(date), Some(changed)) = (date::parse(line), validators.last_modified) else { return false };
    date == date::truncate(changed) && now.duration_since(date).is_ok_and(|age| age >= Duration::from_secs(1))
}

/// Selects by one line.
fn select(line: &str, len: u64) -> Selection {
    // RFC 9110 §14.1: range units are case-insensitive.
    let Some(set) = line.split_once('=').filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes")).map(|(_, set)| set)
    else {
        return Selection::Whole;
    };
    let mut count = 0;
    let mut ranges: SmallVec<[ByteRange; 4]> = SmallVec::new();
    let mut whole = false;
    for element in list::split(set) {
        count += 1;
        let Some(spec) = parse(element).filter(|_| count <= MAX_RANGES) else { return Selection::Whole };
        match spec {
            Spec::From { first, last } if first < len => ranges.push(ByteRange { first, last: last.min(len - 1) }),
            Spec::From { .. } | Spec::Suffix(0) => {}
            // RFC 9110 §14.1.2: a suffix of an empty representation is satisfiable, but no
            // Content-Range can express it.
            Spec::Suffix(_) if len == 0 => whole = true,
            Spec::Suffix(n) => ranges.push(ByteRange { first: len.saturating_sub(n), last: len - 1 }),
        }
    }
    match (join(ranges).as_slice(), count) {
        (_, 0) => Selection::Whole,
        ([], _) if whole => Selection::Whole,
        ([], _) => Selection::Unsatisfiable,
        ([one], _) => Selection::One(*one),
        (many, _) => Selection::Many(SmallVec::from_slice(many)),
    }
}

/// Parses `first-`, `first-last` or `-suffix` (RFC 9110 §14.1.1). Returns `None` for anything else,
/// also if `last` is less than `first`.
fn parse(element: &str) -> Option<Spec> {
    let (first, last) = element.split_once('-')?;
    match (first, last) {
        ("", suffix) => Some(Spec::Suffix(number(suffix)?)),
        (first, "") => Some(Spec::From { first: number(first)?, last: u64::MAX }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From { first, last })
        }
    }
}

/// Parses digits. A number that is too large becomes the largest.
fn number(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Joins ranges that overlap or nearly touch (RFC 9110 §15.3.7.2).
fn join(ranges: SmallVec<[ByteRange; 4]>) -> SmallVec<[ByteRange; 4]> {
    let mut sorted = ranges.clone();
    sorted.sort_unstable_by_key(|range| range.first);
    let mut joined: SmallVec<[ByteRange; 4]> = SmallVec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(before) if range.first <= before.last.saturating_add(MAX_GAP) => {
                before.last = before.last.max(range.last);
            }
            _ => joined.push(range),
        }
    }
    if joined.len() == ranges.len() { ranges } else { joined }
}

#[cfg(test)]
mod tests;
