//! Comma-separated lists in header fields (RFC 9110 §5.6.1).

use http::{HeaderMap, HeaderName};

/// The elements of the field `name`, of all its lines, in order.
///
/// Optional whitespace and empty elements are removed (RFC 9110 §5.6.1.2). Commas inside quoted
/// strings do not separate elements. Lines that are not ASCII text are skipped.
pub fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).flat_map(split)
}

/// The elements of one line, as in [`elements`].
pub fn split(line: &str) -> impl Iterator<Item = &str> {
    split_on(line, b',').map(trim).filter(|element| !element.is_empty())
}

/// Splits `text` at each `separator` outside quoted strings (RFC 9110 §5.6.4). The parts keep their
/// whitespace.
pub fn split_on(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find_unquoted(text.as_bytes(), separator);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// The index of the first `separator`, an ASCII character, outside quoted strings.
fn find_unquoted(text: &[u8], separator: u8) -> Option<usize> {
    if memchr::memchr(b'"', text).is_none() {
        return memchr::memchr(separator, text);
    }
    let (mut quoted, mut escaped) = (false, false);
    text.iter().position(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => return byte == separator && !quoted,
        }
        false
    })
}

/// Removes optional whitespace at both ends: spaces and tabs (RFC 9110 §5.6.3).
#[must_use]
pub fn trim(text: &str) -> &str {
    const BLANK: [u8; 2] = [b' ', b'\t'];
    match text.as_bytes() {
        // Most texts have none.
        [first, .., last] if !BLANK.contains(first) && !BLANK.contains(last) => text,
        _ => text.trim_matches([' ', '\t']),
    }
}

/// Returns `true` if `byte` is valid in a token (RFC 9110 §5.6.2).
#[must_use]
pub const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Returns `true` if `text` is a token (RFC 9110 §5.6.2).
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_tchar)
}

/// The content of a token or a quoted string, without escapes (RFC 9110 §5.6.4). Returns `None` if
/// `text` is neither.
#[must_use]
pub fn unquote(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    let Some(inner) = text.strip_prefix('"') else {
        return is_token(text).then_some(text.into());
    };
    let inner = inner.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => out.push(chars.next()?),
            c => out.push(c),
        }
    }
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: &[&str]) {
        assert_eq!(split(line).collect::<Vec<_>>(), expect, "{line:?}");
    }

    #[test]
    fn elements_of_a_line() {
        check("", &[]);
        check(" , ,", &[]);
        check("a, b ,c", &["a", "b", "c"]);
        check(r#"a="x,y", "b\",c", d"#, &[r#"a="x,y""#, r#""b\",c""#, "d"]);
        check(r#"a, "open, b"#, &["a", r#""open, b"#]);
    }

    #[test]
    fn tokens_and_quoted_strings() {
        assert_eq!(unquote("abc").as_deref(), Some("abc"));
        assert_eq!(unquote(r#""a\"b""#).as_deref(), Some("a\"b"));
        for bad in ["", "a b", r#""open"#, r#""a"b""#, r#""\""#, "\""] {
            assert_eq!(unquote(bad), None, "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn joined_parts_are_the_text(line in "[ -~]{0,40}") {
            let parts: Vec<_> = split_on(&line, b',').collect();
            proptest::prop_assert_eq!(parts.join(","), line);
        }
    }
}
