use proptest::prelude::*;

use super::*;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[track_caller]
fn check(line: &str, len: u64, expect: &[(u64, u64)]) {
    let selection = match resolve(&headers(&[("range", line)]), len) {
        Selection::One(one) => vec![(one.first, one.last)],
        Selection::Many(many) => many.iter().map(|range| (range.first, range.last)).collect(),
        other => panic!("{line:?}: {other:?}"),
    };
    assert_eq!(selection, expect, "{line:?} of {len}");
}

#[track_caller]
fn check_selection(line: &str, len: u64, expect: &Selection) {
    assert_eq!(&resolve(&headers(&[("range", line)]), len), expect, "{line:?} of {len}");
}

#[test]
fn the_examples_of_the_rfc() {
    // RFC 9110 §14.1.2
    check("bytes=0-499", 10_000, &[(0, 499)]);
    check("bytes=500-999", 10_000, &[(500, 999)]);
    check("bytes=-500", 10_000, &[(9500, 9999)]);
    check("bytes=9500-", 10_000, &[(9500, 9999)]);
    check("bytes=0-0,-1", 10_000, &[(0, 0), (9999, 9999)]);
    check("bytes= 0-999, 4500-5499, -1000", 10_000, &[(0, 999), (4500, 5499), (9000, 9999)]);
    check("bytes=500-600,601-999", 10_000, &[(500, 999)]);
    check("bytes=500-700,601-999", 10_000, &[(500, 999)]);
}

#[test]
fn ranges_are_cut_at_the_end() {
    check("bytes=5-99", 10, &[(5, 9)]);
    check("bytes=-99", 10, &[(0, 9)]);
    check("bytes=9-99999999999999999999999", 10, &[(9, 9)]);
    check("BYTES=1-2", 10, &[(1, 2)]);
    check("bytes=99-, 3-4", 10, &[(3, 4)]);
}

#[test]
fn ranges_keep_their_order_unless_joined() {
    check("bytes=5000-5009, 0-9", 10_000, &[(5000, 5009), (0, 9)]);
    check("bytes=5000-5009, 20-29, 0-9", 10_000, &[(0, 29), (5000, 5009)]);
}

#[test]
fn invalid_fields_are_ignored() {
    for line in ["", "bytes", "lines=0-1", "bytes=", "bytes=,", "bytes=2-1", "bytes=a-b", "bytes=1", "bytes=--1"] {
        check_selection(line, 10, &Selection::Whole);
    }
    check_selection("bytes=0-1, x", 10, &Selection::Whole);
    check_selection("bytes=+1-2", 10, &Selection::Whole);
    check_selection(&format!("bytes={}", "0-0,".repeat(MAX_RANGES + 1)), 10, &Selection::Whole);
    assert_eq!(resolve(&headers(&[("range", "bytes=0-1"), ("range", "bytes=0-1")]), 10), Selection::Whole);
}

#[test]
fn unsatisfiable_fields_are_416() {
    for line in ["bytes=10-", "bytes=-0", "bytes=10-11, -0"] {
        check_selection(line, 10, &Selection::Unsatisfiable);
    }
    check_selection("bytes=0-", 0, &Selection::Unsatisfiable);
    check_selection("bytes=-1", 0, &Selection::Whole);
}

#[test]
fn if_range_compares_strongly() {
    let at = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    let validators = Validators { etag: ETag::parse("\"a\""), last_modified: Some(at + Duration::from_millis(300)) };
    let check = |field: &str, after_ms: u64, expect: bool| {
        let now = at + Duration::from_millis(after_ms);
        assert_eq!(if_range(&headers(&[("if-range", field)]), &validators, now), expect, "{field}");
    };
    check("\"a\"", 0, true);
    check("W/\"a\"", 5000, false);
    check("\"b\"", 5000, false);
    check("Sun, 06 Nov 1994 08:49:37 GMT", 5000, true);
    check("Sun, 06 Nov 1994 08:49:37 GMT", 900, false);
    check("Sun, 06 Nov 1994 08:49:38 GMT", 5000, false);
    check("*", 5000, false);
    assert!(if_range(&HeaderMap::new(), &validators, at));
    assert!(!if_range(&headers(&[("if-range", "\"a\""), ("if-range", "\"a\"")]), &validators, at));
    let weak = Validators { etag: ETag::parse("W/\"a\""), last_modified: None };
    assert!(!if_range(&headers(&[("if-range", "W/\"a\"")]), &weak, at));
}

/// The bytes that a request names, one by one, by RFC 9110 §14.1.2. `None` if the field is invalid.
fn oracle(specs: &[(Option<u64>, Option<u64>)], len: u64) -> Option<Vec<bool>> {
    let mut named = vec![false; len as usize];
    for spec in specs {
        for at in 0..len {
            named[at as usize] |= match *spec {
                (Some(first), Some(last)) if first > last => return None,
                (Some(first), Some(last)) => first <= at && at <= last,
                (Some(first), None) => first <= at,
                (None, Some(suffix)) => at + suffix >= len,
                (None, None) => return None,
            };
        }
    }
    Some(named)
}

proptest! {
    #[test]
    fn agrees_with_the_oracle(
        specs in prop::collection::vec((prop::option::of(0u64..40), prop::option::of(0u64..40)), 1..6),
        len in 1u64..300,
    ) {
        let text = |n: &Option<u64>| n.map_or(String::new(), |n| n.to_string());
        let line: Vec<_> = specs.iter().map(|(first, last)| format!("{}-{}", text(first), text(last))).collect();
        let selection = resolve(&headers(&[("range", &format!("bytes={}", line.join(", ")))]), len);
        let Some(named) = oracle(&specs, len) else {
            prop_assert_eq!(selection, Selection::Whole);
            return Ok(());
        };
        let ranges = match selection {
            Selection::One(one) => vec![one],
            Selection::Many(many) => many.to_vec(),
            Selection::Unsatisfiable => vec![],
            Selection::Whole => return Err(TestCaseError::fail("a valid field was ignored")),
        };
        let mut sent = vec![0u8; len as usize];
        for range in &ranges {
            prop_assert!(range.first <= range.last && range.last < len);
            (range.first..=range.last).for_each(|at| sent[at as usize] += 1);
        }
        prop_assert!(sent.iter().all(|&times| times <= 1), "a byte is sent twice");
        prop_assert!(named.iter().zip(&sent).all(|(named, sent)| !named || *sent == 1), "a named byte is missing");
        if !named.contains(&true) {
            prop_assert!(ranges.is_empty());
        }
        // Bytes that are sent but not named are in gaps that joining closed.
        let extra = named.iter().zip(&sent).filter(|(named, sent)| !**named && **sent == 1).count();
        prop_assert!(extra as u64 <= MAX_GAP * specs.len() as u64);
    }

    #[test]
    fn never_panics(line in "\\PC{0,60}", len: u64) {
        if let Ok(value) = HeaderValue::from_str(&line) {
            let mut map = HeaderMap::new();
            map.insert(RANGE, value);
            let _ = resolve(&map, len);
        }
    }

    #[test]
    fn never_panics_on_near_misses(line in "bytes=[0-9, -]{0,60}", len: u64) {
        let _ = resolve(&headers(&[("range", &line)]), len);
    }
}
