use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const ALL: [Coding; 3] = Coding::ALL;

#[track_caller]
fn check(line: &str, expect: Choice) {
    assert_eq!(AcceptEncoding::parse(line).choose(&ALL), expect, "{line:?}");
}

#[test]
fn rfc_9110_12_5_3_examples() {
    use Choice::*;
    check("compress, gzip", Coding(super::Coding::Gzip));
    check("", Identity);
    check("*", Coding(super::Coding::Zstd));
    check("compress;q=0.5, gzip;q=1.0", Coding(super::Coding::Gzip));
    check("gzip;q=1.0, identity; q=0.5, *;q=0", Coding(super::Coding::Gzip));
}

#[test]
fn weights_then_preference() {
    use super::Coding::*;
    use Choice::*;
    check("gzip, deflate, br, zstd", Coding(Zstd));
    check("gzip, br;q=0.9, zstd;q=0.8", Coding(Gzip));
    check("br;q=0.5, *", Coding(Zstd));
    check("zstd;q=0, *;q=0.5", Coding(Brotli));
    check("X-GZIP", Coding(Gzip));
    check("GZip;Q=0.001", Coding(Gzip));
    assert_eq!(AcceptEncoding::parse("gzip, br").choose(&[Gzip, Brotli]), Coding(Gzip));
}

#[test]
fn identity() {
    use super::Coding::*;
    use Choice::*;
    check("identity, gzip;q=0.5", Identity);
    check("identity;q=0.5, gzip;q=0.5", Coding(Gzip));
    check("gzip;q=0.001", Coding(Gzip));
    check("deflate", Identity);
    check("identity;q=0", Nothing);
    check("*;q=0", Nothing);
    check("*;q=0, identity;q=0.1", Identity);
    check("identity;q=0, gzip", Coding(Gzip));
    check("gzip;q=0", Identity);
}

#[test]
fn invalid_elements_are_ignored() {
    use super::Coding::*;
    use Choice::*;
    for line in
        ["gzip;q=2", "gzip;q=", "gzip;q=0.1234", "gzip;q=-1", "gz ip", ";q=1", "gzip;q=1.001", "gzip;q=.5", ",,;,"]
    {
        check(line, Identity);
    }
    check("gzip;level=9;q=0.1 , ,br", Coding(Brotli));
    check("gzip, gzip;q=0", Identity);
}

#[test]
fn lines_are_one_list() {
    let mut headers = HeaderMap::new();
    assert_eq!(AcceptEncoding::of(&headers).choose(&ALL), Choice::Identity);
    headers.append(ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0.2"));
    headers.append(ACCEPT_ENCODING, HeaderValue::from_static("br;q=0.3"));
    assert_eq!(AcceptEncoding::of(&headers).choose(&ALL), Choice::Coding(Coding::Brotli));
}

/// The rules of RFC 9110 §12.5.3, word by word: every candidate gets a weight, and the first with
/// the greatest wins. Identity is the last candidate. If it is not named, its weight is smaller
/// than any in the field.
fn oracle(elements: &[(String, u16)], offered: &[Coding]) -> Choice {
    let mut named: HashMap<String, u16> = HashMap::new();
    for (name, weight) in elements {
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip".into() } else { name.to_ascii_lowercase() };
        let known = named.entry(name).or_insert(*weight);
        *known = (*known).min(*weight);
    }
    let of = |name: &str| named.get(name).or(named.get("*")).copied();
    let mut candidates: Vec<(f64, Choice)> = Vec::new();
    for coding in offered {
        candidates.push((f64::from(of(coding.as_str()).unwrap_or(0)), Choice::Coding(*coding)));
    }
    candidates.push((of("identity").map_or(0.5, f64::from), Choice::Identity));
    candidates.retain(|(weight, _)| *weight > 0.0);
    let greatest = candidates.iter().map(|(weight, _)| *weight).fold(0.0, f64::max);
    candidates.iter().find(|(weight, _)| *weight == greatest).map_or(Choice::Nothing, |(_, choice)| *choice)
}

fn element() -> impl Strategy<Value = (String, u16)> {
    let name =
        prop::sample::select(vec!["gzip", "GZIP", "x-gzip", "br", "zstd", "identity", "*", "deflate", "compress"]);
    let weight = prop_oneof![Just(0), Just(1000), Just(1), (0u16..=1000)];
    (name.prop_map(str::to_owned), weight)
}

fn write((name, weight): &(String, u16), style: u8) -> String {
    let q = format!("{}.{:03}", weight / 1000, weight % 1000);
    let short = q.trim_end_matches('0').trim_end_matches('.');
    match style % 4 {
        0 if *weight == 1000 => name.clone(),
        1 => format!(" {name} ; q={q}\t"),
        2 => format!("{name};Q={short}"),
        _ => format!("{name};q={q}"),
    }
}

proptest! {
    #[test]
    fn agrees_with_the_oracle(
        elements in prop::collection::vec((element(), any::<u8>()), 0..7),
        offered in prop::sample::subsequence(vec![Coding::Zstd, Coding::Brotli, Coding::Gzip], 0..=3).prop_shuffle(),
    ) {
        let line = elements.iter().map(|(element, style)| write(element, *style)).collect::<Vec<_>>().join(",");
        let elements: Vec<_> = elements.into_iter().map(|(element, _)| element).collect();
        prop_assert_eq!(AcceptEncoding::parse(&line).choose(&offered), oracle(&elements, &offered), "{}", line);
    }

    #[test]
    fn never_panics_and_never_picks_a_refused_coding(line in "[a-z*;=q0-9., \\PC]{0,60}") {
        let accept = AcceptEncoding::parse(&line);
        if let Choice::Coding(coding) = accept.choose(&ALL) {
            prop_assert!(accept.weight(coding) > 0);
        }
    }

    #[test]
    fn a_written_weight_parses_to_itself(thousandths in 0u16..=1000) {
        let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
        prop_assert_eq!(qvalue(&text), Some(thousandths));
    }

    #[test]
    fn a_written_token_parses_to_itself(coding in prop::sample::select(ALL.to_vec())) {
        prop_assert_eq!(Coding::from_token(&coding.to_string()), Some(coding));
    }
}
