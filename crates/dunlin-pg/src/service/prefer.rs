//! The request field `Prefer` (RFC 7240).

use std::borrow::Cow;

use dunlin_http::list;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A preference that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// RFC 7240 §4.2: without the content that the client does not need.
    Minimal,
    /// RFC 7240 §4.2: with the content, as without the preference.
    Representation,
    /// The number of all rows.
    Count,
}

/// The value of the preference `name`, which is the first one of that name (RFC 7240 §2).
pub(super) fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    list::elements(headers, &PREFER).find_map(|element| {
        let preference = list::split_on(element, b';').next()?;
        let (key, value) = preference.split_once('=').unwrap_or((preference, ""));
        list::trim(key).eq_ignore_ascii_case(name).then(|| list::unquote(list::trim(value)))?
    })
}

/// The preference `return` of a request.
pub(super) fn returned(headers: &HeaderMap) -> Option<Applied> {
    match &*value(headers, "return")? {
        "minimal" => Some(Applied::Minimal),
        "representation" => Some(Applied::Representation),
        _ => None,
    }
}

// === impl Applied ===

impl Applied {
    /// Tells the client that the preference was met (RFC 7240 §3).
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        let text = match self {
            Self::Minimal => "return=minimal",
            Self::Representation => "return=representation",
            Self::Count => "count=exact",
        };
        headers.append(PREFERENCE_APPLIED, HeaderValue::from_static(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences() {
        #[track_caller]
        fn check(lines: &[&str], name: &str, expect: Option<&str>) {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(PREFER, line.parse().unwrap());
            }
            assert_eq!(value(&headers, name).as_deref(), expect, "{lines:?}");
        }
        check(&["return=minimal"], "return", Some("minimal"));
        check(&["wait=5, Return = \"minimal\"; foo=bar"], "return", Some("minimal"));
        check(&["respond-async", "return=representation, return=minimal"], "return", Some("representation"));
        check(&["handling=strict;return=minimal"], "return", None);
        check(&["return"], "return", None);
        check(&[], "return", None);
    }
}
