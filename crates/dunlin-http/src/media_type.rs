//! Media types (RFC 9110 §8.3.1).

use std::borrow::Cow;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::list;

/// A media type as a field has it: `type/subtype; name=value`. It borrows the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    essence: &'a str,
    parameters: &'a str,
}

// === impl MediaType ===

impl<'a> MediaType<'a> {
    /// Reads one; `None` when it has no type and subtype.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (essence, parameters) =
            memchr::memchr(b';', text.as_bytes()).map_or((text, ""), |at| (&text[..at], &text[at + 1..]));
        let essence = list::trim(essence);
        let slash = memchr::memchr(b'/', essence.as_bytes())?;
        let (main, sub) = (&essence[..slash], &essence[slash + 1..]);
        (list::is_token(main) && list::is_token(sub)).then_some(Self { essence, parameters })
    }

    /// The media type of a message's content.
    #[must_use]
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        Self::parse(headers.get(CONTENT_TYPE)?.to_str().ok()?)
    }

    /// `type/subtype`, in the case it came in; compare it without regard to case.
    #[must_use]
    pub const fn essence(&self) -> &'a str {
        self.essence
    }

    /// Whether it is `essence`, in any case.
    #[must_use]
    pub fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    /// Whether it is JSON: `application/json`, `text/json` or a `+json` suffix (RFC 6839 §3.1).
    #[must_use]
    pub fn is_json(&self) -> bool {
        let suffix = self.essence.len().checked_sub(5).and_then(|at| self.essence.get(at..));
        self.is("application/json")
            || self.is("text/json")
            || suffix.is_some_and(|end| end.eq_ignore_ascii_case("+json"))
    }

    /// The first parameter `name`, in any case, without quotes.
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
