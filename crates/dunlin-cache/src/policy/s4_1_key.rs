//! Selecting a variant (RFC 9111 §4.1): the request fields that `Vary` names, normalised so that
//! what means the same compares the same.

use dunlin_http::list;
use dunlin_http::vary::Vary;
use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_LANGUAGE, COOKIE, DATE, FROM,
    HOST, ORIGIN, PROXY_AUTHORIZATION, REFERER, USER_AGENT,
};
use http::{HeaderMap, HeaderName};

/// The request fields that selected a stored response, in alphabetical order, normalised; `None`
/// for one that was not sent.
pub(crate) type Selecting = Box<[(HeaderName, Option<Box<str>>)]>;

/// The fields of a request that a response's `Vary` names; `None` for `Vary: *`.
pub(crate) fn selecting(response: &HeaderMap, request: &HeaderMap, extra: &[HeaderName]) -> Option<Selecting> {
    let Vary::Fields(mut names) = Vary::of(response) else { return None };
    if !extra.is_empty() {
        names.extend_from_slice(extra);
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
    }
    Some(names.into_iter().map(|name| (name.clone(), normalised(&name, request))).collect())
}

/// Whether a request selects the response that was stored with these fields. `stored` is that
/// response's header.
pub(crate) fn selects(selecting: &Selecting, stored: &HeaderMap, request: &HeaderMap) -> bool {
    selecting.iter().all(|(name, value)| {
        normalised(name, request) == *value || *name == ACCEPT_LANGUAGE && prefers_language(stored, request)
    })
}

/// The value of a request field as it is compared, byte for byte, with each byte as one character.
///
/// All lines are one list without optional whitespace (RFC 9111 §4.1 allows both), but an empty
/// element stays: an origin could tell it. The fields of content negotiation are compared without
/// regard to order and case where these have no meaning. Fields that are no lists are taken as they
/// are.
pub(crate) fn normalised(name: &HeaderName, request: &HeaderMap) -> Option<Box<str>> {
    let mut lines = request.get_all(name).iter();
    let first = lines.next()?;
    if lines.next().is_none()
        && let Ok(line) = first.to_str()
        && !line.contains([',', ';', ' ', '\t'])
        && !(is_negotiation(name) && line.bytes().any(|byte| byte.is_ascii_uppercase()))
    {
        return Some(line.into());
    }
    let mut out = String::new();
    for (index, line) in request.get_all(name).iter().enumerate() {
        // Latin-1 is one character for each byte, so that no two values become one.
        let line: String = line.as_bytes().iter().map(|byte| char::from(*byte)).collect();
        if index > 0 {
            out.push(',');
        }
        if SINGLE.contains(name) {
            out.push_str(&line);
            continue;
        }
        for (index, element) in list::split_on(&line, b',').enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(list::trim(element));
        }
    }
    Some(if is_negotiation(name) { negotiation(&out, *name != ACCEPT) } else { out }.into())
}

/// Fields whose values are no lists, so that a comma or a space is part of the value.
static SINGLE: [HeaderName; 9] =
    [AUTHORIZATION, COOKIE, DATE, FROM, HOST, ORIGIN, PROXY_AUTHORIZATION, REFERER, USER_AGENT];

fn is_negotiation(name: &HeaderName) -> bool {
    [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE].contains(name)
}

/// Sorts what is asked for by weight, then by name: RFC 9110 §12.4.2 gives order no meaning.
fn negotiation(list: &str, lowercase: bool) -> String {
    let mut ranges: Vec<(u16, String)> = weighted(list)
        .map(|(range, weight)| (weight, if lowercase { range.to_ascii_lowercase() } else { range }))
        .collect();
    ranges.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    ranges.dedup();
    let part = |(weight, range): &(u16, String)| match weight {
        1000 => range.clone(),
        weight => format!("{range};q={weight}"),
    };
    ranges.iter().map(part).collect::<Vec<_>>().join(",")
}

/// The ranges of a list with their weights in thousandths (RFC 9110 §12.4.2). A weight that cannot
/// be read stays with its range.
fn weighted(list: &str) -> impl Iterator<Item = (String, u16)> {
    list::split(list).map(|element| {
        let mut range = String::with_capacity(element.len());
        let mut weight = 1000;
        for (at, part) in list::split_on(element, b';').map(list::trim).enumerate() {
            match part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")).and_then(thousandths) {
                Some(thousandths) if at > 0 => weight = thousandths,
                _ => {
                    if at > 0 {
                        range.push(';');
                    }
                    range.push_str(part);
                }
            }
        }
        (range, weight)
    })
}

fn thousandths(text: &str) -> Option<u16> {
    let value: f32 = text.parse().ok()?;
    (0.0..=1.0).contains(&value).then_some((value * 1000.0).round() as u16)
}

/// Whether the response is in the one language that the request likes best, so that another order
/// of the rest is no matter.
fn prefers_language(stored: &HeaderMap, request: &HeaderMap) -> bool {
    let mut languages = list::elements(stored, &CONTENT_LANGUAGE);
    let (Some(language), None) = (languages.next(), languages.next()) else { return false };
    let asked = list::elements(request, &ACCEPT_LANGUAGE).collect::<Vec<_>>().join(",");
    let ranges: Vec<_> = weighted(&asked).collect();
    let best = ranges.iter().map(|(_, weight)| *weight).max().unwrap_or(0);
    let mut liked = ranges.iter().filter(|(_, weight)| *weight == best && best > 0);
    matches!((liked.next(), liked.next()), (Some((range, _)), None) if range.eq_ignore_ascii_case(language))
}

#[cfg(test)]
mod tests {
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
    fn what_means_the_same_compares_the_same() {
        let foo = HeaderName::from_static("foo");
        check(&foo, &["1, 2"], &["1", "2"], true);
        check(&foo, &["1,2"], &[" 1, 2 "], true);
        check(&foo, &["1,2"], &["2,1"], false);
        check(&foo, &["a"], &["A"], false);
        check(&foo, &[], &[""], false);
        check(&foo, &["\"a, b\""], &["\"a,b\""], false);
        check(&foo, &["alice,"], &["alice"], false);
        check(&foo, &["a,,b"], &["a,b"], false);
        check(&foo, &["1", ""], &["1"], false);
        check(&COOKIE, &["a=1,  b"], &["a=1,b"], false);
        check(&USER_AGENT, &["x (y, z)"], &["x (y,z)"], false);
        check(&ACCEPT_LANGUAGE, &["en, de"], &["de, en"], true);
        check(&ACCEPT_LANGUAGE, &["en, de"], &["eN ,  De"], true);
        check(&ACCEPT_LANGUAGE, &["en, de;q=0.5"], &["de;q=0.50, en;q=1"], true);
        check(&ACCEPT_LANGUAGE, &["en, de;q=0.5"], &["de, en;q=0.5"], false);
        check(&ACCEPT_ENCODING, &["gzip"], &["GZIP"], true);
        check(&ACCEPT, &["text/html;level=1"], &["text/html"], false);
    }

    #[test]
    fn every_byte_counts() {
        let of = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-u", http::HeaderValue::from_bytes(bytes).unwrap());
            normalised(&HeaderName::from_static("x-u"), &headers)
        };
        assert_ne!(of(b"\xff"), of(b"\xfe"));
        assert_ne!(of(b"\xc3\xa4"), of(b"\xe4"));
        assert_eq!(of(b"\xff"), of(b"\xff"));
    }

    #[test]
    fn the_language_that_is_liked_best_selects() {
        let german = headers(&CONTENT_LANGUAGE, &["de"]);
        let asks = |line| headers(&ACCEPT_LANGUAGE, &[line]);
        let stored = Box::new([(ACCEPT_LANGUAGE, normalised(&ACCEPT_LANGUAGE, &asks("en, de")))]) as Selecting;
        assert!(selects(&stored, &german, &asks("fr;q=0.5, de;q=1.0")));
        assert!(!selects(&stored, &german, &asks("fr, de;q=0.9")));
        assert!(!selects(&stored, &german, &asks("fr, de")));
        assert!(!selects(&stored, &HeaderMap::new(), &asks("fr;q=0.5, de;q=1.0")));
    }
}
