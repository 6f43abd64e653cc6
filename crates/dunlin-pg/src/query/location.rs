//! [`Location`]: the URL of a row.

use std::collections::BTreeMap;

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use serde_json::value::RawValue;

use super::QueryError;

/// RFC 3986 §2.3: the characters that need no escape anywhere in a URI.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URL of the row that a query returns, for the `Location` of its response. `{name}` in it is
/// the value of that column, percent-encoded.
///
/// ```
/// let location = dunlin_pg::Location::parse("/users/{id}")?;
/// assert_eq!(location.fill(br#"{"id":"a/b","n":7}"#).unwrap(), "/users/a%2Fb");
/// assert_eq!(location.fill(br#"{"id":null}"#), None);
/// # Ok::<(), dunlin_pg::QueryError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location(Box<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Column(Box<str>),
}

// === impl Location ===

impl Location {
    /// Parses a template.
    ///
    /// # Errors
    /// A brace without its other one, an empty name, or text that is not valid in a URI.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let wrong = |why: &str| Err(QueryError::new(format!("the location {text:?} {why}")));
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            let Some((name, after)) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
                return wrong("has a brace without its other one");
            };
            if name.is_empty() || name.contains('{') {
                return wrong("needs the name of a column between braces");
            }
            pieces.extend([Piece::Text(before.into()), Piece::Column(name.into())]);
            rest = after;
        }
        pieces.push(Piece::Text(rest.into()));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        let is_uri = |piece: &Piece| match piece {
            Piece::Text(text) => text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`|".contains(&byte)),
            Piece::Column(_) => true,
        };
        if pieces.is_empty() || !pieces.iter().all(is_uri) {
            return wrong("is no URL");
        }
        Ok(Self(pieces.into()))
    }

    /// The columns that it reads.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Column(name) => Some(&**name),
            Piece::Text(_) => None,
        })
    }

    /// The URL of a row, which is a JSON object. It is `None` if a column is NULL or missing.
    #[must_use]
    pub fn fill(&self, row: &[u8]) -> Option<HeaderValue> {
        let columns: BTreeMap<String, &RawValue> = serde_json::from_slice(row).ok()?;
        let mut url = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => url.push_str(text),
                Piece::Column(name) => {
                    let raw = columns.get(&**name)?.get();
                    let text = match serde_json::from_str(raw).ok()? {
                        Value::Null => return None,
                        Value::String(text) => text,
                        _ => raw.to_owned(),
                    };
                    url.extend(utf8_percent_encode(&text, ESCAPED));
                }
            }
        }
        HeaderValue::try_from(url).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        #[track_caller]
        fn check(template: &str, row: &str, expect: Option<&str>) {
            let location = Location::parse(template).unwrap();
            assert_eq!(location.fill(row.as_bytes()), expect.map(|url| url.parse().unwrap()), "{template} {row}");
        }
        check("/users/{id}", r#"{"id":7}"#, Some("/users/7"));
        check("/users/{id}", r#"{"id":12345678901234567890.10}"#, Some("/users/12345678901234567890.10"));
        check("/{a}/{b}?x={a}", r#"{"a":"é /","b":true}"#, Some("/%C3%A9%20%2F/true?x=%C3%A9%20%2F"));
        check("/{a}", r#"{"a":"\r\nX: y"}"#, Some("/%0D%0AX%3A%20y"));
        check("/{a}", r#"{"b":1}"#, None);
        check("https://a.example/x", "{}", Some("https://a.example/x"));
        for wrong in ["", "/{", "/}", "/{}", "/{a", "/{{a}}", "/a b", "/é"] {
            assert!(Location::parse(wrong).is_err(), "{wrong}");
        }
    }
}
