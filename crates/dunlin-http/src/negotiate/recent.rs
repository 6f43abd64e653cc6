//! Recently parsed `Accept-Encoding` lines: clients send the same few lines again and again.

use std::cell::RefCell;

use http::HeaderValue;

use super::AcceptEncoding;

/// The number of slots, a power of two.
const SLOTS: usize = 16;
/// The length limit of a line. Those of all browsers are shorter.
const MAX_LINE: usize = 40;

/// A line and its parsed form.
#[derive(Clone, Copy)]
struct Parsed {
    length: u8,
    line: [u8; MAX_LINE],
    accept: AcceptEncoding,
}

thread_local! {
    /// Indexed by length and last character. A later line replaces an earlier one.
    static RECENT: RefCell<[Option<Parsed>; SLOTS]> = const { RefCell::new([None; SLOTS]) };
}

/// The parsed form of a line. `parse` is called if the line is not in a slot.
pub(super) fn get_or_parse(value: &HeaderValue, parse: impl FnOnce(&HeaderValue) -> AcceptEncoding) -> AcceptEncoding {
    let line = value.as_bytes();
    let (Some(last), Ok(length), true) = (line.last(), u8::try_from(line.len()), line.len() <= MAX_LINE) else {
        return parse(value);
    };
    RECENT.with_borrow_mut(|slots| {
        let slot = &mut slots[(line.len() ^ usize::from(*last)) % SLOTS];
        match slot {
            Some(parsed) if parsed.length == length && parsed.line[..line.len()] == *line => parsed.accept,
            _ => {
                let mut parsed = Parsed { length, line: [0; MAX_LINE], accept: parse(value) };
                parsed.line[..line.len()].copy_from_slice(line);
                slot.insert(parsed).accept
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parsed_once_and_not_confused_with_another() {
        let mut parses = 0;
        let mut check = |line: &str| {
            let accept = get_or_parse(&HeaderValue::from_str(line).unwrap(), |value| {
                parses += 1;
                AcceptEncoding::parse_value(value)
            });
            assert_eq!(accept, AcceptEncoding::parse(line), "{line:?}");
        };
        ["gzip", "gzip", "gzip, br", "gzip, br", "gzip"].into_iter().for_each(&mut check);
        // These have the same length and end, so they share a slot.
        ["br, zstd;q=0", "zstd, br;q=0", "br, zstd;q=0", ""].into_iter().for_each(&mut check);
        let long = format!("gzip;q=0.5{}", ", br".repeat(MAX_LINE));
        [&long[..], &long, "gzip;q=0.5, br, br, br, br, br, br, br, b"].into_iter().for_each(&mut check);
        assert_eq!(parses, 2 + 3 + 1 + 2 + 1);
    }

    proptest::proptest! {
        #[test]
        fn a_recent_line_equals_a_parsed_one(lines in proptest::collection::vec("(br|gzip|zstd)(;q=[01])?(, \\*)?", 1..60)) {
            for line in lines.iter().chain(&lines) {
                let value = HeaderValue::from_str(line).unwrap();
                proptest::prop_assert_eq!(get_or_parse(&value, AcceptEncoding::parse_value), AcceptEncoding::parse(line));
            }
        }
    }
}
