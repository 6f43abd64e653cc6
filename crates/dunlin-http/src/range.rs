//! Byte ranges (RFC 9110 §14) and `If-Range` (§13.1.5).
//!
//! [`resolve`] takes a request's header and the length of the selected representation, and says
//! what is to be sent. It is pure; the caller decides beforehand that the method is GET and the
//! status would be 200.

mod multipart;

use std::time::{Duration, SystemTime};

use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use crate::conditional::{ETag, Validators};
use crate::{date, list};
pub use multipart::Multipart;

/// The most ranges of one request that are looked at. A request for more gets the whole.
pub const MAX_RANGES: usize = 16;

/// Ranges that are nearer than this are sent as one: a part's own head would cost more than the
/// gap.
const GAP: u64 = 80;

/// Bytes from `first` to `last`, both included, as in `Content-Range`. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte's place, from 0.
    pub first: u64,
    /// The last byte's place, at least `first`.
    pub last: u64,
}

/// What of a representation is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it, with 200: no range was asked for, or none that has to be honoured.
    Whole,
    /// One range, with 206 and `Content-Range`.
    One(ByteRange),
    /// Two ranges or more that neither overlap nor touch, with 206 and `multipart/byteranges`; see
    /// [`Multipart`].
    Many(SmallVec<[ByteRange; 4]>),
    /// Nothing: 416 with [`unsatisfied`].
    Unsatisfiable,
}

/// A range as the request has it.
#[derive(Clone, Copy)]
enum Spec {
    From { first: u64, last: u64 },
    Suffix(u64),
}

// === impl ByteRange ===

impl ByteRange {
    /// How many bytes it has.
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

/// What a GET request's `Range` selects of a representation of `len` bytes.
///
/// A field that is malformed, has another unit than bytes, comes twice, or asks for more than
/// [`MAX_RANGES`] ranges is ignored. Ranges that overlap or nearly touch are joined, and then come
/// in ascending order; others keep the order of the request.
#[must_use]
pub fn resolve(headers: &HeaderMap, len: u64) -> Selection {
    let mut lines = headers.get_all(RANGE).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().map_or(Selection::Whole, |line| select(line, len)),
        _ => Selection::Whole,
    }
}

/// Whether `If-Range` lets the request's `Range` be honoured: there is none, or it names this
/// representation strongly.
///
/// A date counts when it is exactly `Last-Modified`, and that was at least a second ago, so that
/// the file cannot have changed twice in the second that the date stands for (RFC 9110 §8.8.2.2).
#[must_use]
pub fn if_range(headers: &HeaderMap, validators: &Validators, now: SystemTime) -> bool {
    let mut lines = headers.get_all(IF_RANGE).iter();
    let Some(line) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    // RFC 9110 §13.1.5: a tag is told from a date by its first three characters.
    if let Some(tag) = line.to_str().ok().and_then(ETag::parse) {
        return validators.etag.as_ref().is_some_and(|etag| etag.strong_eq(&tag));
    }
    let (Some(date), Some(changed)) = (date::parse(line), validators.last_modified) else { return false };
    date == date::truncate(changed) && now.duration_since(date).is_ok_and(|age| age >= Duration::from_secs(1))
}

/// What one line selects.
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
            // RFC 9110 §14.1.2: a suffix of nothing is satisfiable, but no Content-Range could tell
            // of it.
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

/// `first-`, `first-last` or `-suffix` (RFC 9110 §14.1.1). `None` for anything else, and for a last
/// before the first.
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

/// Digits; what does not fit is more than any length.
fn number(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Joins ranges if any two of them overlap or nearly touch (RFC 9110 §15.3.7.2).
fn join(ranges: SmallVec<[ByteRange; 4]>) -> SmallVec<[ByteRange; 4]> {
    let mut sorted = ranges.clone();
    sorted.sort_unstable_by_key(|range| range.first);
    let mut joined: SmallVec<[ByteRange; 4]> = SmallVec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(before) if range.first <= before.last.saturating_add(GAP) => before.last = before.last.max(range.last),
            _ => joined.push(range),
        }
    }
    if joined.len() == ranges.len() { ranges } else { joined }
}

#[cfg(test)]
mod tests;
