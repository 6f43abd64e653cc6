//! For any `Range`: each range is within the representation and not empty, no two overlap or touch,
//! and a single range has the numbers of the field.

#![no_main]

use dunlin_http::range::{ByteRange, Selection, resolve};
use http::{HeaderMap, HeaderValue, header::RANGE};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, u64)| {
    let (text, len) = input;
    let Ok(value) = HeaderValue::from_str(&format!("bytes={text}")) else { return };
    let ranges = match resolve(&HeaderMap::from_iter([(RANGE, value)]), len) {
        Selection::Whole | Selection::Unsatisfiable => return,
        Selection::One(one) => vec![one],
        Selection::Many(many) => {
            assert!(many.len() > 1);
            many.to_vec()
        }
    };
    let mut sorted = ranges.clone();
    sorted.sort_by_key(|range| range.first);
    assert!(sorted.iter().all(|range| range.first <= range.last && range.last < len));
    assert!(sorted.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<u64>(), last.parse::<u64>())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    {
        assert_eq!(ranges, [ByteRange { first, last: last.min(len - 1) }]);
    }
});
