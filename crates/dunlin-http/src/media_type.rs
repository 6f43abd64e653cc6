//! Media types (RFC 9110 §8.3.1).

use std::borrow::Cow;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::list;

/// A media type, borrowed from a field: `type/subtype; name=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    essence: &'a str,
    parameters: &'a str,
}

// === impl MediaType ===

impl<'a> MediaType<'a> {
    /// Parses a media type. Returns `None` if it has no valid type and subtype.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (essence, parameters) =
            memchr::memchr(b';', text.as_bytes()).map_or((text, ""), |at| (&text[..at], &text[at + 1..]));
        let essence = list::trim(essence);
        let slash = memchr::memchr(b'/', essence.as_bytes())?;
        let (main, sub) = (&essence[..slash], &essence[slash + 1..]);
        (list::is_token(main) && list::is_token(sub)).then_some(Self { essence, parameters })
    }

    /// The media type in the `Content-Type` of a message.
    #[must_use]
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        Self::parse(headers.get(CONTENT_TYPE)?.to_str().ok()?)
    }

    /// `type/subtype`. The case is that of the field, so compare it case-insensitively.
    #[must_use]
    pub const fn essence(&self) -> &'a str {
        self.essence
    }

    /// Returns `true` if the type is `essence`, case-insensitively.
    #[must_use]
    pub fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    /// Returns `true` for JSON: `application/json`, `text/json` or a `+json` suffix (RFC 6839
    /// §3.1).
    #[must_use]
    pub fn is_json(&self) -> bool {
        let suffix = self.essence.len().checked_sub(5).and_then(|at| self.essence.get(at..));
        self.is("application/json")
            || self.is("text/json")
            || suffix.is_some_and(|end| end.eq_ignore_ascii_case("+json"))
    }

    /// The first parameter of this name, compared case-insensitively, without quotes.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        list::split_on(self.parameters, b';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            list::trim(key).eq_ignore_ascii_case(name).then(|| list::unquote(list::trim(value))).flatten()
        })
    }

    /// The parameter `charset`.
    #[must_use]
    pub fn charset(&self) -> Option<Cow<'a, str>> {
        self.parameter("charset")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_parameters() {
        let media = MediaType::parse("Text/HTML ; a=\"x;charset=no\"; CharSet=\"utf-8\"").unwrap();
        assert!(media.is("text/html") && !media.is_json());
        assert_eq!(media.charset().as_deref(), Some("utf-8"));
        assert_eq!(media.parameter("b"), None);
        assert!(MediaType::parse("application/problem+JSON").unwrap().is_json());
        for bad in ["", "text", "text/", "/html", "te xt/html"] {
            assert_eq!(MediaType::parse(bad), None, "{bad:?}");
        }
    }
}
