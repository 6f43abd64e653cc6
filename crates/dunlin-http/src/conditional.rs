//! Validators and preconditions (RFC 9110 §8.8 and §13).

use std::fmt;
use std::time::SystemTime;

use http::header::{ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method};

use crate::{date, fields};

/// An entity tag (RFC 9110 §8.8.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ETag {
    weak: bool,
    /// The text between the quotes.
    opaque: Box<str>,
}

/// The validators of a representation: its entity tag, the time of its last change, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The entity tag.
    pub etag: Option<ETag>,
    /// The time of the last change. It is compared in whole seconds.
    pub last_modified: Option<SystemTime>,
}

/// The result of a request's preconditions (RFC 9110 §13.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Perform the method.
    Proceed,
    /// Respond with 304 and without content.
    NotModified,
    /// Respond with 412, and do not perform the method.
    Failed,
}

// === impl ETag ===

impl ETag {
    /// Makes a strong tag. Returns `None` if `opaque` has a character that is invalid in a tag.
    #[must_use]
    pub fn strong(opaque: &str) -> Option<Self> {
        opaque.bytes().all(is_etagc).then(|| Self { weak: false, opaque: opaque.into() })
    }

    /// Parses one tag: `"…"` or `W/"…"`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (weak, quoted) = match text.strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let opaque = quoted.strip_prefix('"')?.strip_suffix('"')?;
        opaque.bytes().all(is_etagc).then(|| Self { weak, opaque: opaque.into() })
    }

    /// The tag in the `ETag` field. Returns `None` if the field has several lines.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(ETAG).iter();
        let only = lines.next()?;
        lines.next().is_none().then_some(())?;
        Self::parse(only.to_str().ok()?)
    }

    /// Returns `true` if the tag is weak.
    #[must_use]
    pub const fn is_weak(&self) -> bool {
        self.weak
    }

    /// The same tag as a weak one.
    #[must_use]
    pub fn weakened(mut self) -> Self {
        self.weak = true;
        self
    }

    /// Strong comparison (RFC 9110 §8.8.3.2): both are strong and equal.
    #[must_use]
    pub fn strong_eq(&self, other: &Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Weak comparison (RFC 9110 §8.8.3.2): equal, weak or not.
    #[must_use]
    pub fn weak_eq(&self, other: &Self) -> bool {
        self.opaque == other.opaque
    }

    /// The value of the `ETag` field.
    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        // All characters of a tag are valid in a field value.
        HeaderValue::from_maybe_shared(bytes::Bytes::from(self.to_string()))
            .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\"{}\"", if self.weak { "W/" } else { "" }, self.opaque)
    }
}

/// RFC 9110 §8.8.3: `etagc = %x21 / %x23-7E / obs-text`.
const fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

/// The tags of a list, in order. A comma inside a tag is part of it. Invalid elements are skipped.
pub fn etags(mut list: &str) -> impl Iterator<Item = ETag> {
    std::iter::from_fn(move || {
        loop {
            list = list.trim_start_matches([' ', '\t', ',']);
            if list.is_empty() {
                return None;
            }
            let open = if list.starts_with("W/\"") { 3 } else { usize::from(list.starts_with('"')) };
            let close = (open > 0).then(|| list[open..].find('"')).flatten().map(|at| open + at + 1);
            let end = close.unwrap_or_else(|| list.find(',').unwrap_or(list.len()));
            let (tag, rest) = list.split_at(end);
            list = rest;
            if let Some(tag) = ETag::parse(tag) {
                return Some(tag);
            }
        }
    })
}

// === impl Validators ===

impl Validators {
    /// The validators of a response.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let last_modified = headers.get(LAST_MODIFIED).and_then(date::parse);
        Self { etag: ETag::of(headers), last_modified }
    }

    /// Returns `true` if the request has a precondition that [`Validators::evaluate`] looks at.
    #[must_use]
    pub fn has_preconditions(request: &HeaderMap) -> bool {
        fields::has_any(request, &[IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE])
    }

    /// Evaluates a request's preconditions for the selected representation, in the order of RFC
    /// 9110 §13.2.2. [`range::if_range`](crate::range::if_range) evaluates `If-Range`.
    #[must_use]
    pub fn evaluate(&self, method: &Method, request: &HeaderMap) -> Outcome {
        // RFC 10008 §2.6: a QUERY is a read, whose result is the selected representation.
        let read = matches!(*method, Method::GET | Method::HEAD | Method::QUERY);
        if request.contains_key(IF_MATCH) {
            if !self.any_match(request, &IF_MATCH, ETag::strong_eq) {
                return Outcome::Failed;
            }
        } else if let (Some(since), Some(changed)) = (single_date(request, &IF_UNMODIFIED_SINCE), self.last_modified)
            && date::truncate(changed) > since
        {
            return Outcome::Failed;
        }
        if request.contains_key(IF_NONE_MATCH) {
            if self.any_match(request, &IF_NONE_MATCH, ETag::weak_eq) {
                return if read { Outcome::NotModified } else { Outcome::Failed };
            }
        } else if let (true, Some(since), Some(changed)) =
            (read, single_date(request, &IF_MODIFIED_SINCE), self.last_modified)
            && date::truncate(changed) <= since
        {
            return Outcome::NotModified;
        }
        Outcome::Proceed
    }

    /// Returns `true` if a list of tags contains this representation's, or is `*`.
    fn any_match(&self, request: &HeaderMap, name: &http::HeaderName, same: fn(&ETag, &ETag) -> bool) -> bool {
        request.get_all(name).iter().filter_map(|line| std::str::from_utf8(line.as_bytes()).ok()).any(|line| {
            crate::list::trim(line) == "*"
                || self.etag.as_ref().is_some_and(|etag| etags(line).any(|candidate| same(etag, &candidate)))
        })
    }
}

/// The date of a field with one line. Others are ignored (RFC 9110 §13.1.3).
fn single_date(headers: &HeaderMap, name: &http::HeaderName) -> Option<SystemTime> {
    let mut lines = headers.get_all(name).iter();
    let only = lines.next()?;
    lines.next().is_none().then(|| date::parse(only)).flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    #[track_caller]
    fn check(method: &Method, etag: &str, fields: &[(&'static str, &str)], expect: Outcome) {
        let at = httpdate::parse_http_date(AT).unwrap() + Duration::from_millis(900);
        let validators = Validators { etag: ETag::parse(etag), last_modified: Some(at) };
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        assert_eq!(validators.evaluate(method, &headers), expect, "{method} {fields:?}");
    }

    #[test]
    fn if_none_match() {
        use Outcome::*;
        for (etag, field, outcome) in [
            ("\"a\"", "\"a\"", NotModified),
            ("\"a\"", "W/\"a\"", NotModified),
            ("W/\"a\"", "\"x\", \"a\"", NotModified),
            ("\"a,b\"", "\"a,b\"", NotModified),
            ("\"a\"", "*", NotModified),
            ("\"a\"", "\"b\"", Proceed),
            ("\"a\"", "a", Proceed),
            ("\"a\"", "\"a", Proceed),
        ] {
            check(&Method::GET, etag, &[("if-none-match", field)], outcome);
        }
        check(&Method::PUT, "\"a\"", &[("if-none-match", "*")], Failed);
    }

    #[test]
    fn if_match_is_strong() {
        check(&Method::PUT, "\"a\"", &[("if-match", "\"a\"")], Outcome::Proceed);
        check(&Method::GET, "\"a\"", &[("if-match", "W/\"a\"")], Outcome::Failed);
        check(&Method::GET, "W/\"a\"", &[("if-match", "W/\"a\"")], Outcome::Failed);
        check(&Method::GET, "\"a\"", &[("if-match", "*")], Outcome::Proceed);
    }

    #[test]
    fn dates_have_whole_seconds_and_tags_come_first() {
        use Outcome::*;
        check(&Method::GET, "\"a\"", &[("if-modified-since", AT)], NotModified);
        check(&Method::GET, "\"a\"", &[("if-modified-since", BEFORE)], Proceed);
        check(&Method::POST, "\"a\"", &[("if-modified-since", AT)], Proceed);
        check(&Method::GET, "\"a\"", &[("if-modified-since", "yesterday")], Proceed);
        check(&Method::GET, "\"a\"", &[("if-modified-since", AT), ("if-modified-since", AT)], Proceed);
        check(&Method::GET, "\"a\"", &[("if-modified-since", AT), ("if-none-match", "\"b\"")], Proceed);
        check(&Method::GET, "\"a\"", &[("if-unmodified-since", BEFORE)], Failed);
        check(&Method::GET, "\"a\"", &[("if-unmodified-since", AT)], Proceed);
        check(&Method::GET, "\"a\"", &[("if-unmodified-since", BEFORE), ("if-match", "\"a\"")], Proceed);
        check(&Method::GET, "\"a\"", &[("if-match", "\"a\""), ("if-none-match", "\"a\"")], NotModified);
    }

    proptest::proptest! {
        #[test]
        fn a_written_tag_parses_to_itself(weak: bool, opaque in "[!#-~]{0,12}") {
            let tag = ETag { weak, opaque: opaque.into() };
            proptest::prop_assert_eq!(ETag::parse(&tag.to_string()), Some(tag.clone()));
            proptest::prop_assert_eq!(etags(&format!("x, {tag} ,\"other\"")).next(), Some(tag));
        }

        #[test]
        fn lists_never_panic(list in "\\PC{0,40}") {
            let _ = etags(&list).count();
        }
    }
}
