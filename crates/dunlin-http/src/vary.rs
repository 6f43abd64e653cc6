//! The field `Vary` (RFC 9110 §12.5.5).

use http::header::{Entry, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::list;

/// Says that the answer depends on the request's field `name`, unless the headers already say so.
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

/// Whether the headers say that the answer depends on the request's field `name`.
#[must_use]
pub fn says(headers: &HeaderMap, name: &str) -> bool {
    any_is(headers.get_all(VARY).iter(), name)
}

fn any_is<'a>(lines: impl Iterator<Item = &'a HeaderValue>, name: &str) -> bool {
    let is_it = |element: &str| element == "*" || element.eq_ignore_ascii_case(name);
    lines.filter_map(|line| line.to_str().ok()).flat_map(list::split).any(is_it)
}

/// What an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// On more than the request's header: no other request may be answered with it.
    Any,
    /// On these request fields, in alphabetical order, each once.
    Fields(Vec<HeaderName>),
}

// === impl Vary ===

impl Vary {
    /// Reads `Vary`. An element that is no field name is taken as [`Vary::Any`]: what is not
    /// understood must not be shared.
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
    fn is_said_once() {
        let mut headers = HeaderMap::new();
        headers.insert(VARY, HeaderValue::from_static("Origin, accept-encoding"));
        assert!(says(&headers, "accept-encoding") && !says(&headers, "accept"));
        add(&mut headers, "accept-encoding");
        assert_eq!(headers.get_all(VARY).iter().count(), 1);
        add(&mut headers, "accept");
        let fields = ["accept", "accept-encoding", "origin"].map(HeaderName::from_static).to_vec();
        assert_eq!(Vary::of(&headers), Vary::Fields(fields));
        headers.append(VARY, HeaderValue::from_static("x y"));
        assert_eq!(Vary::of(&headers), Vary::Any);
    }
}
