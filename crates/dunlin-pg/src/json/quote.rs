//! JSON strings by the rules of PostgreSQL's `escape_json`.

use super::reader::Malformed;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Writes `text` as a JSON string.
#[inline]
pub(crate) fn string(text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.reserve(text.len() + 2);
    if !is_plain(text) {
        // A database with the encoding SQL_ASCII may have any bytes, and JSON is UTF-8.
        std::str::from_utf8(text).map_err(|_| Malformed)?;
        out.push(b'"');
        escaped(text, out);
    } else {
        out.push(b'"');
        out.extend_from_slice(text);
    }
    out.push(b'"');
    Ok(())
}

/// Returns `true` if the text is ASCII that needs no escapes. It takes one pass.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    // The last eight bytes, which may overlap with the words before, or the short text after
    // spaces.
    let tail = match text.last_chunk::<8>() {
        Some(tail) => u64::from_le_bytes(*tail),
        None => rest.iter().fold(ONES * u64::from(b' '), |word, &byte| word << 8 | u64::from(byte)),
    };
    let found = words.iter().fold(tail | special(tail), |found, word| {
        let word = u64::from_le_bytes(*word);
        found | word | special(word)
    });
    found & HIGH == 0
}

/// Writes as a JSON string the text that `write` appends. It is escaped only if it needs to be.
pub(crate) fn quoted(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    out.push(b'"');
    let start = out.len();
    write(out)?;
    if first_special(&out[start..]).is_some() {
        let text = out.split_off(start);
        escaped(&text, out);
    }
    out.push(b'"');
    Ok(())
}

fn escaped(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = first_special(text) {
        out.extend_from_slice(&text[..at]);
        escape(text[at], out);
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// The index of the first byte that JSON does not allow in a string: a control character, `"` or
/// `\`.
fn first_special(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let found = special(u64::from_le_bytes(*word)) & HIGH;
        if found != 0 {
            return Some(i * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\')?;
    Some(words.len() * 8 + at)
}

/// Sets the high bit of each byte that JSON does not allow in a string. The lowest bit that is set
/// is exact; higher ones may be false.
#[inline]
const fn special(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero_bytes(word ^ (ONES * b'"' as u64));
    let slash = zero_bytes(word ^ (ONES * b'\\' as u64));
    control | quote | slash
}

const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: &str) {
        let mut out = Vec::new();
        string(text.as_bytes(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn what_json_forbids_is_escaped_and_nothing_else() {
        check("", r#""""#);
        check("plain, é, 漢, 🦆 \u{7f} /", "\"plain, é, 漢, 🦆 \u{7f} /\"");
        check("a\"b\\c", r#""a\"b\\c""#);
        check("\u{8}\u{c}\n\r\t\u{1}\u{1f}", r#""\b\f\n\r\t\u0001\u001f""#);
        check("0123456\"", r#""0123456\"""#);
        check("01234567\"", r#""01234567\"""#);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert_eq!(string(b"a\xff", &mut Vec::new()), Err(Malformed));
    }

    proptest! {
        #[test]
        fn every_string_reads_back(text in "(?s).{0,40}") {
            let mut out = Vec::new();
            string(text.as_bytes(), &mut out).unwrap();
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text.clone());
            let mut again = Vec::new();
            quoted(&mut again, |out| { out.extend_from_slice(text.as_bytes()); Ok(()) }).unwrap();
            prop_assert_eq!(again, out);
        }

        #[test]
        fn the_fast_scan_finds_what_the_slow_one_finds(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let slow = text.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\');
            prop_assert_eq!(first_special(&text), slow);
            prop_assert_eq!(is_plain(&text), slow.is_none() && text.is_ascii());
        }
    }
}
