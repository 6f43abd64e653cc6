//! Look-ups in small headers.
//!
//! A request has few fields. Comparing a name with each of them takes fewer instructions than
//! hashing it, which a look-up in the map does.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Returns `true` if the header has the field.
#[inline]
#[must_use]
pub fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|key| key == name)
}

/// Returns `true` if the header has one of these fields.
#[inline]
#[must_use]
pub fn has_any(headers: &HeaderMap, names: &[HeaderName]) -> bool {
    headers.keys().any(|key| names.contains(key))
}

/// The first value of the field.
#[inline]
#[must_use]
pub fn first<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, HOST, RANGE};

    use super::*;

    #[test]
    fn fields_are_found() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("a"));
        headers.append(ACCEPT, HeaderValue::from_static("b"));
        headers.append(ACCEPT, HeaderValue::from_static("c"));
        assert!(has(&headers, &ACCEPT) && !has(&headers, &RANGE));
        assert!(has_any(&headers, &[RANGE, HOST]) && !has_any(&headers, &[RANGE]) && !has_any(&headers, &[]));
        assert_eq!(
            (first(&headers, &ACCEPT).unwrap(), first(&headers, &RANGE)),
            (&HeaderValue::from_static("b"), None)
        );
    }
}
