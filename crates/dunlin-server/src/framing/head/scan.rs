//! Runs of bytes, eight at a time.

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

/// The length of the prefix that is a field value (RFC 9110 §5.5) without HTAB: SP to `~`, and 0x80
/// to 0xff.
#[inline]
pub(super) fn value(bytes: &[u8]) -> usize {
    run(bytes, |word| below(word, 0x20) | equal(word, 0x7f))
}

/// The length of the prefix that is visible ASCII without `#`.
#[inline]
pub(super) fn target(bytes: &[u8]) -> usize {
    run(bytes, |word| below(word, 0x21) | equal(word, 0x7f) | equal(word, b'#') | (word & HIGH))
}

/// The length of the prefix without a colon, a blank or a control character.
#[inline]
pub(super) fn name(bytes: &[u8]) -> usize {
    run(bytes, |word| below(word, 0x21) | equal(word, b':'))
}

/// The length of the prefix up to the first byte that `stops` marks. A mark is the high bit of its
/// byte. The lowest mark has to be right, those above it need not be. A zero byte has to be marked.
#[inline(always)]
fn run(bytes: &[u8], stops: impl Fn(u64) -> u64) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = stops(u64::from_le_bytes(*word));
        if marks != 0 {
            return index * 8 + first(marks);
        }
    }
    // The zeroes behind the rest end the run.
    let last = match bytes.last_chunk::<8>() {
        _ if rest.is_empty() => 0,
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    words.len() * 8 + first(stops(last))
}

/// The position of the first marked byte.
const fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// Marks the bytes that are less than `bound`, which is 0x80 at most. A borrow only reaches bytes
/// above a marked one.
const fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(ONES * bound as u64) & !word & HIGH
}

/// Marks the bytes that are `byte`.
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries each byte at each position, behind bytes that do not stop, and before others.
    #[track_caller]
    fn check(run: fn(&[u8]) -> usize, stops: fn(u8) -> bool) {
        for byte in 0..=u8::MAX {
            for before in 0..20 {
                for behind in 0..12 {
                    for other in [b'\0', b'!', b':', 0xff] {
                        let bytes = [&vec![b'a'; before][..], &[byte], &vec![other; behind][..]].concat();
                        let expect = bytes.iter().position(|byte| stops(*byte)).unwrap_or(bytes.len());
                        assert_eq!(run(&bytes), expect, "{bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn runs_end_where_they_should() {
        check(value, |byte| byte < 0x20 || byte == 0x7f);
        check(target, |byte| !byte.is_ascii_graphic() || byte == b'#');
        check(name, |byte| byte <= 0x20 || byte == b':');
    }
}
