//! What `Accept-Encoding` said last: clients send the same few lines again and again.

use std::cell::RefCell;

use http::HeaderValue;

use super::AcceptEncoding;

/// How many lines are remembered; a power of two.
const PLACES: usize = 16;
/// The longest line that is. Those of all browsers are shorter.
const LONGEST: usize = 40;

/// A line, and what it says.
#[derive(Clone, Copy)]
struct Known {
    length: u8,
    line: [u8; LONGEST],
    accept: AcceptEncoding,
}

thread_local! {
    /// By length and last character. What comes later has the place.
    static LAST: RefCell<[Option<Known>; PLACES]> = const { RefCell::new([None; PLACES]) };
}

/// What a line says, which `read` tells if it is not remembered.
pub(super) fn remembered(value: &HeaderValue, read: impl FnOnce(&HeaderValue) -> AcceptEncoding) -> AcceptEncoding {
    let line = value.as_bytes();
    let (Some(last), Ok(length), true) = (line.last(), u8::try_from(line.len()), line.len() <= LONGEST) else {
        return read(value);
    };
    LAST.with_borrow_mut(|places| {
        let place = &mut places[(line.len() ^ usize::from(*last)) % PLACES];
        match place {
            Some(known) if known.length == length && known.line[..line.len()] == *line => known.accept,
            _ => {
                let mut known = Known { length, line: [0; LONGEST], accept: read(value) };
                known.line[..line.len()].copy_from_slice(line);
                place.insert(known).accept
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_once_and_never_taken_for_another() {
        let mut reads = 0;
        let mut check = |line: &str| {
            let accept = remembered(&HeaderValue::from_str(line).unwrap(), |value| {
                reads += 1;
                AcceptEncoding::of_line(value)
            });
            assert_eq!(accept, AcceptEncoding::parse(line), "{line:?}");
        };
        ["gzip", "gzip", "gzip, br", "gzip, br", "gzip"].into_iter().for_each(&mut check);
        // In one place, by their length and end.
        ["br, zstd;q=0", "zstd, br;q=0", "br, zstd;q=0", ""].into_iter().for_each(&mut check);
        let long = format!("gzip;q=0.5{}", ", br".repeat(LONGEST));
        [&long[..], &long, "gzip;q=0.5, br, br, br, br, br, br, br, b"].into_iter().for_each(&mut check);
        assert_eq!(reads, 2 + 3 + 1 + 2 + 1);
    }

    proptest::proptest! {
        #[test]
        fn what_is_remembered_is_what_is_said(lines in proptest::collection::vec("(br|gzip|zstd)(;q=[01])?(, \\*)?", 1..60)) {
            for line in lines.iter().chain(&lines) {
                let value = HeaderValue::from_str(line).unwrap();
                proptest::prop_assert_eq!(remembered(&value, AcceptEncoding::of_line), AcceptEncoding::parse(line));
            }
        }
    }
}
