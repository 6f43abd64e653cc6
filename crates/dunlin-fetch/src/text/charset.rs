//! The character encoding of a text.

use dunlin_http::media_type::MediaType;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// The number of bytes of HTML that are searched for a `<meta charset>` (HTML §13.2.3.2).
pub(super) const PRESCAN: usize = 1024;

/// The encoding of a text with this `content_type` that starts with `first`. The default is UTF-8.
///
/// Returns `None` if more bytes are needed. [`PRESCAN`] bytes are always enough, and so is a
/// `complete` text. The order is that of browsers (HTML §13.2.3.2): the byte order mark, the
/// `charset` of Content-Type, the `<meta>` of HTML.
pub(super) fn detect(content_type: Option<&str>, first: &[u8], complete: bool) -> Option<&'static Encoding> {
    let enough = complete || first.len() >= PRESCAN;
    if first.len() < 3 && !enough {
        return None;
    }
    if let Some((encoding, _)) = Encoding::for_bom(first) {
        return Some(encoding);
    }
    let media = content_type.and_then(MediaType::parse);
    let label = media.and_then(|media| media.charset());
    if let Some(encoding) = label.and_then(|label| Encoding::for_label(label.as_bytes())) {
        return Some(encoding);
    }
    if !media.is_some_and(|media| media.is("text/html") || media.is("application/xhtml+xml")) {
        return Some(UTF_8);
    }
    match prescan(&first[..first.len().min(PRESCAN)]) {
        Some(encoding) => Some(encoding),
        None if enough => Some(UTF_8),
        None => None,
    }
}

/// The encoding that a `<meta>` declares (HTML §13.2.3.2, "prescan a byte stream").
fn prescan(mut html: &[u8]) -> Option<&'static Encoding> {
    while let Some(at) = html.iter().position(|&byte| byte == b'<') {
        html = &html[at..];
        if html.starts_with(b"<!--") {
            // The dashes of "<!--" may be those of "-->", too.
            let end = find(&html[2..], b"-->")?;
            html = &html[2 + end + 3..];
        } else if is_tag(html, b"<meta") {
            let mut attributes = Attributes(&html[5..]);
            if let Some(encoding) = meta(&mut attributes) {
                return Some(encoding);
            }
            html = attributes.0;
        } else if html.get(1).is_some_and(u8::is_ascii_alphabetic)
            || html.get(1) == Some(&b'/') && html.get(2).is_some_and(u8::is_ascii_alphabetic)
        {
            let name = html.iter().position(|byte| matches!(byte, b'>' | b' ' | b'\t' | b'\n' | b'\r' | 12))?;
            let mut attributes = Attributes(&html[name..]);
            while attributes.next().is_some() {}
            html = attributes.0;
        } else if matches!(html.get(1), Some(b'!' | b'/' | b'?')) {
            html = &html[html.iter().position(|&byte| byte == b'>')?..];
        } else {
            html = &html[1..];
        }
    }
    None
}

fn is_tag(html: &[u8], tag: &[u8]) -> bool {
    html.len() > tag.len()
        && html[..tag.len()].eq_ignore_ascii_case(tag)
        && (html[tag.len()].is_ascii_whitespace() || html[tag.len()] == b'/')
}

/// The encoding that the attributes of one `<meta>` declare. An incomplete tag declares none: the
/// rest of `iso-8859-15` may be missing.
fn meta(attributes: &mut Attributes<'_>) -> Option<&'static Encoding> {
    let (mut pragma, mut charset, mut needs_pragma) = (false, None, false);
    while let Some((name, value)) = attributes.next() {
        if name.eq_ignore_ascii_case(b"http-equiv") {
            pragma = value.eq_ignore_ascii_case(b"content-type");
        } else if name.eq_ignore_ascii_case(b"charset") {
            (charset, needs_pragma) = (Some(value), false);
        } else if name.eq_ignore_ascii_case(b"content") && charset.is_none() {
            (charset, needs_pragma) = (charset_of_content(value), true);
        }
    }
    if attributes.0.is_empty() {
        return None;
    }
    let encoding = Encoding::for_label(charset.filter(|_| pragma || !needs_pragma)?)?;
    Some(if encoding == UTF_16BE || encoding == UTF_16LE {
        // The tag was read as ASCII, so the text is not UTF-16.
        UTF_8
    } else if encoding == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    })
}

/// The charset in the `content` of a `<meta http-equiv>`: `text/html; charset=x`.
fn charset_of_content(mut value: &[u8]) -> Option<&[u8]> {
    loop {
        let at = value.windows(7).position(|window| window.eq_ignore_ascii_case(b"charset"))?;
        value = &value[at + 7..];
        if let Some(rest) = value.trim_ascii_start().strip_prefix(b"=") {
            let rest = rest.trim_ascii_start();
            return match rest.first()? {
                quote @ (b'"' | b'\'') => Some(&rest[1..1 + rest[1..].iter().position(|byte| byte == quote)?]),
                _ => Some(rest.split(|byte| byte.is_ascii_whitespace() || *byte == b';').next().unwrap_or(rest)),
            };
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// The attributes of a tag, one after another (HTML §13.2.3.2, "get an attribute"). The rest starts
/// at the tag's `>`, if it has one.
struct Attributes<'a>(&'a [u8]);

// === impl Attributes ===

impl<'a> Attributes<'a> {
    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.skip(|byte| byte.is_ascii_whitespace() || byte == b'/');
        if matches!(self.0.first(), None | Some(b'>')) {
            return None;
        }
        let first = usize::from(self.0[0] == b'=');
        let ends = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>' | b'=');
        let name = self.take(first + self.0[first..].iter().take_while(|&&byte| !ends(byte)).count());
        self.skip(|byte| byte.is_ascii_whitespace());
        if self.0.first() != Some(&b'=') {
            return Some((name, b""));
        }
        self.take(1);
        self.skip(|byte| byte.is_ascii_whitespace());
        let value = match self.0.first() {
            Some(&quote @ (b'"' | b'\'')) => {
                self.take(1);
                // The tag is incomplete without the closing quote.
                let Some(end) = self.0.iter().position(|&byte| byte == quote) else {
                    self.0 = b"";
                    return None;
                };
                let value = self.take(end);
                self.take(1);
                value
            }
            _ => self.take(self.0.iter().take_while(|byte| !byte.is_ascii_whitespace() && **byte != b'>').count()),
        };
        Some((name, value))
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn skip(&mut self, skipped: fn(u8) -> bool) {
        self.take(self.0.iter().take_while(|&&byte| skipped(byte)).count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content_type: &str, first: &[u8], expect: &str) {
        assert_eq!(detect(Some(content_type), first, true).unwrap().name(), expect, "{}", first.escape_ascii());
    }

    #[test]
    fn the_order_is_mark_field_meta() {
        check("text/plain", b"", "UTF-8");
        check("text/plain; charset=ISO-8859-1", b"x", "windows-1252");
        check("text/plain; charset=\"shift_jis\"", b"x", "Shift_JIS");
        check("text/plain; charset=nonsense", b"x", "UTF-8");
        check("text/plain; charset=iso-8859-1", b"\xef\xbb\xbfx", "UTF-8");
        check("text/plain", b"\xff\xfex\0", "UTF-16LE");
        check("text/plain", b"<meta charset=koi8-r>", "UTF-8");
        check("text/html; charset=utf-8", b"<meta charset=koi8-r>", "UTF-8");
        check("text/html", b"<meta charset=koi8-r>", "KOI8-R");
    }

    #[test]
    fn metas() {
        for (html, expect) in [
            (&b"<!doctype html><html lang=de><head><META  CharSet = 'windows-1251' >"[..], "windows-1251"),
            (b"<!-- <meta charset=koi8-r> --><meta charset=big5>", "Big5"),
            (b"<!--><meta charset=big5>", "Big5"),
            (b"<a title='<meta charset=koi8-r>'><meta charset=big5>", "Big5"),
            (b"<meta http-equiv=content-type content='text/html; charset=gbk'>", "GBK"),
            (b"<meta content='text/html; charset=gbk' http-equiv=\"Content-Type\"/>", "GBK"),
            (b"<meta content='text/html; charset=gbk'>", "UTF-8"),
            (b"<meta name=x content=y><meta charset=gbk>", "GBK"),
            (b"<metal charset=gbk>", "UTF-8"),
            (b"<meta charset=utf-16>", "UTF-8"),
            (b"<meta charset='gbk", "UTF-8"),
            (b"<meta charset=gbk ", "UTF-8"),
            (b"<? <meta charset=gbk> ?><meta charset=big5>", "Big5"),
        ] {
            check("text/html", html, expect);
        }
    }

    #[test]
    fn more_bytes_are_needed() {
        assert!(detect(Some("text/plain"), b"ab", false).is_none(), "it may be a byte order mark");
        assert!(detect(Some("text/html"), b"<html>", false).is_none());
        assert!(detect(Some("text/html"), &[b' '; PRESCAN], false).is_some());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(html in "(<|<!--|-->|<meta|charset|content|=|'|\"|>|/| |a|ä){0,30}") {
            let _ = detect(Some("text/html"), html.as_bytes(), true);
        }
    }
}
