//! Selection of a variant (RFC 9111 §4.1): the request fields that `Vary` names, normalised so that
//! equivalent values are equal.

use dunlin_http::list;
use dunlin_http::negotiate::qvalue;
use dunlin_http::vary::Vary;
use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, FORWARDED, IF_MATCH,
    IF_NONE_MATCH, TE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The request fields that selected a stored response, in alphabetical order, normalised. A value
/// is `None` if the request did not have the field.
pub(crate) type Selecting = Box<[(HeaderName, Option<Box<str>>)]>;

/// The fields of a request that a response's `Vary` and the route name. Returns `None` for `Vary:
/// *`.
pub(crate) fn selecting(response: &HeaderMap, request: &HeaderMap, extra: &[HeaderName]) -> Option<Selecting> {
    let Vary::Fields(mut names) = Vary::of(response) else { return None };
    if !extra.is_empty() {
        names.extend_from_slice(extra);
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
    }
    Some(names.into_iter().map(|name| (name.clone(), normalised(&name, request))).collect())
}

/// Returns `true` if a request selects the response that was stored with these fields. `stored` is
/// the header of that response.
pub(crate) fn selects(selecting: &Selecting, stored: &HeaderMap, request: &HeaderMap) -> bool {
    selecting.iter().all(|(name, value)| {
        normalised(name, request) == *value || *name == ACCEPT_LANGUAGE && prefers_language(stored, request)
    })
}

/// The value of a request field for comparison, with each byte as one character.
///
/// RFC 9111 §4.1 allows to normalise a field as its definition allows it. For a field that is
/// defined as a list, whitespace around commas does not count; for content negotiation, neither do
/// the order and the case. Any other field is compared byte for byte, because its definition is
/// unknown. The lines of a field are combined as RFC 9110 §5.3 says.
pub(crate) fn normalised(name: &HeaderName, request: &HeaderMap) -> Option<Box<str>> {
    let mut lines = request.get_all(name).iter();
    let first = lines.next()?;
    let is_single = lines.next().is_none();
    if !LISTS.contains(name) {
        return Some(match first.to_str() {
            Ok(line) if is_single => line.into(),
            _ => request.get_all(name).iter().map(latin1).collect::<Vec<_>>().join(", ").into(),
        });
    }
    if is_single
        && let Ok(line) = first.to_str()
        && !line.contains([',', ';', ' ', '\t'])
        && !(is_negotiation(name) && line.bytes().any(|byte| byte.is_ascii_uppercase()))
    {
        return Some(line.into());
    }
    let mut elements = Vec::new();
    for line in request.get_all(name).iter().map(latin1) {
        // An empty element stays, because an origin could distinguish it.
        elements.extend(list::split_on(&line, b',').map(|element| list::trim(element).to_owned()));
    }
    let list = elements.join(",");
    Some(if is_negotiation(name) { negotiation(&list, *name != ACCEPT) } else { list }.into())
}

/// A value as Latin-1, in which each byte is one character, so that different values stay
/// different.
fn latin1(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|byte| char::from(*byte)).collect()
}

/// The request fields that an RFC defines as lists.
static LISTS: [HeaderName; 11] = [
    ACCEPT,
    ACCEPT_CHARSET,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    CACHE_CONTROL,
    FORWARDED,
    IF_MATCH,
    IF_NONE_MATCH,
    // RFC 7240 §2.
    HeaderName::from_static("prefer"),
    TE,
    VIA,
];

fn is_negotiation(name: &HeaderName) -> bool {
    [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE].contains(name)
}

/// A range of a negotiation field, with its weight in thousandths.
#[derive(PartialEq, Eq)]
struct WeightedRange {
    weight: u16,
    range: String,
}

/// Sorts the ranges by weight, then by name, because their order has no meaning (RFC 9110 §12.4.2).
fn negotiation(list: &str, lowercase: bool) -> String {
    let mut ranges: Vec<WeightedRange> = weighted(list).collect();
    if lowercase {
        ranges.iter_mut().for_each(|range| range.range.make_ascii_lowercase());
    }
    ranges.sort_unstable_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.range.cmp(&b.range)));
    ranges.dedup();
    let text = |WeightedRange { weight, range }: &WeightedRange| match weight {
        1000 => range.clone(),
        weight => format!("{range};q={weight}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// The ranges of a list. An invalid weight stays a part of its range.
fn weighted(list: &str) -> impl Iterator<Item = WeightedRange> {
    list::split(list).map(|element| {
        let mut range = String::with_capacity(element.len());
        let mut weight = 1000;
        for (at, part) in list::split_on(element, b';').map(list::trim).enumerate() {
            match part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")).and_then(qvalue) {
                Some(thousandths) if at > 0 => weight = thousandths,
                _ => {
                    if at > 0 {
                        range.push(';');
                    }
                    range.push_str(part);
                }
            }
        }
        WeightedRange { weight, range }
    })
}

/// Returns `true` if the response is in the one language that the request prefers to all others.
/// Then the order of the others does not matter.
fn prefers_language(stored: &HeaderMap, request: &HeaderMap) -> bool {
    let mut languages = list::elements(stored, &CONTENT_LANGUAGE);
    let (Some(language), None) = (languages.next(), languages.next()) else { return false };
    let accepted = list::elements(request, &ACCEPT_LANGUAGE).collect::<Vec<_>>().join(",");
    let ranges: Vec<WeightedRange> = weighted(&accepted).collect();
    let best = ranges.iter().map(|range| range.weight).max().unwrap_or(0);
    let mut preferred = ranges.iter().filter(|range| range.weight == best && best > 0);
    matches!((preferred.next(), preferred.next()), (Some(only), None) if only.range.eq_ignore_ascii_case(language))
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, USER_AGENT};

    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[track_caller]
    fn check(name: &HeaderName, one: &[&str], other: &[&str], same: bool) {
        let of = |lines| normalised(name, &headers(name, lines));
        assert_eq!(of(one) == of(other), same, "{:?} {:?}", of(one), of(other));
    }

    #[test]
    fn equivalent_values_are_equal() {
        let foo = HeaderName::from_static("foo");
        check(&foo, &["1, 2"], &["1", "2"], true);
        check(&foo, &["1,2"], &[" 1, 2 "], false);
        check(&foo, &["a, b"], &["a,b"], false);
        check(&foo, &["1,2"], &["2,1"], false);
        check(&foo, &["a"], &["A"], false);
        check(&foo, &[], &[""], false);
        check(&foo, &["\"a, b\""], &["\"a,b\""], false);
        check(&foo, &["alice,"], &["alice"], false);
        check(&foo, &["a,,b"], &["a,b"], false);
        check(&foo, &["1", ""], &["1"], false);
        check(&COOKIE, &["a=1,  b"], &["a=1,b"], false);
        check(&USER_AGENT, &["x (y, z)"], &["x (y,z)"], false);
        check(&HeaderName::from_static("prefer"), &["a, b"], &["a,b"], true);
        check(&HeaderName::from_static("prefer"), &["a", "b"], &["b,a"], false);
        check(&ACCEPT_LANGUAGE, &["en, de"], &["de, en"], true);
        check(&ACCEPT_LANGUAGE, &["en, de"], &["eN ,  De"], true);
        check(&ACCEPT_LANGUAGE, &["en, de;q=0.5"], &["de;q=0.50, en;q=1"], true);
        check(&ACCEPT_LANGUAGE, &["en, de;q=0.5"], &["de, en;q=0.5"], false);
        // RFC 9110 §12.4.2: anything else than `0` or `1` with at most three decimals is no weight.
        for weight in ["5e-1", "+0.5", ".5", "0.5000", "NaN", "00.5", "0,5"] {
            check(&ACCEPT_LANGUAGE, &[&format!("en;q={weight}")], &["en;q=0.5"], false);
        }
        check(&ACCEPT_ENCODING, &["gzip"], &["GZIP"], true);
        check(&ACCEPT, &["text/html;level=1"], &["text/html"], false);
    }

    #[test]
    fn every_byte_counts() {
        let of = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-u", HeaderValue::from_bytes(bytes).unwrap());
            normalised(&HeaderName::from_static("x-u"), &headers)
        };
        assert_ne!(of(b"\xff"), of(b"\xfe"));
        assert_ne!(of(b"\xc3\xa4"), of(b"\xe4"));
        assert_eq!(of(b"\xff"), of(b"\xff"));
    }

    #[test]
    fn the_preferred_language_selects() {
        let german = headers(&CONTENT_LANGUAGE, &["de"]);
        let accepting = |line| headers(&ACCEPT_LANGUAGE, &[line]);
        let stored = Box::new([(ACCEPT_LANGUAGE, normalised(&ACCEPT_LANGUAGE, &accepting("en, de")))]) as Selecting;
        assert!(selects(&stored, &german, &accepting("fr;q=0.5, de;q=1.0")));
        assert!(!selects(&stored, &german, &accepting("fr, de;q=0.9")));
        assert!(!selects(&stored, &german, &accepting("fr, de")));
        assert!(!selects(&stored, &HeaderMap::new(), &accepting("fr;q=0.5, de;q=1.0")));
    }
}
