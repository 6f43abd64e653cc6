//! The field `Vary` (RFC 9110 §12.5.5).

use http::header::{Entry, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::list;

/// The parts of a request that a response varies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// More than the header: the response matches no other request.
    Any,
    /// These request fields, in alphabetical order, each once.
    Fields(Vec<HeaderName>),
}

/// Adds the request field `name`, unless the response varies on it already.
pub fn add(headers: &mut HeaderMap, name: &'static str) {
    match headers.entry(VARY) {
        Entry::Vacant(vacant) => drop(vacant.insert(HeaderValue::from_static(name))),
        Entry::Occupied(mut lines) => {
            if !any_is(lines.iter(), name) {
                lines.append(HeaderValue::from_static(name));
            }
        }
    }
}

/// Returns `true` if the response varies on the request field `name`.
#[must_use]
pub fn contains(headers: &HeaderMap, name: &str) -> bool {
    any_is(headers.get_all(VARY).iter(), name)
}

fn any_is<'a>(lines: impl Iterator<Item = &'a HeaderValue>, name: &str) -> bool {
    let matches = |element: &str| element == "*" || element.eq_ignore_ascii_case(name);
    lines.filter_map(|line| line.to_str().ok()).flat_map(list::split).any(matches)
}

// === impl Vary ===

impl Vary {
    /// Parses the field. An invalid field name counts as `*`, so that the response is not reused by
    /// mistake.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut fields = Vec::new();
        for line in headers.get_all(VARY) {
            let Ok(line) = line.to_str() else { return Self::Any };
            for element in list::split(line) {
                match HeaderName::try_from(element) {
                    Ok(name) if element != "*" => fields.push(name),
                    _ => return Self::Any,
                }
            }
        }
        fields.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        fields.dedup();
        Self::Fields(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_added_once() {
        let mut headers = HeaderMap::new();
        headers.insert(VARY, HeaderValue::from_static("Origin, accept-encoding"));
        assert!(contains(&headers, "accept-encoding") && !contains(&headers, "accept"));
        add(&mut headers, "accept-encoding");
        assert_eq!(headers.get_all(VARY).iter().count(), 1);
        add(&mut headers, "accept");
        let fields = ["accept", "accept-encoding", "origin"].map(HeaderName::from_static).to_vec();
        assert_eq!(Vary::of(&headers), Vary::Fields(fields));
        headers.append(VARY, HeaderValue::from_static("x y"));
        assert_eq!(Vary::of(&headers), Vary::Any);
    }
}
