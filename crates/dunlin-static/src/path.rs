//! Which paths are looked for at all. Pure.

use std::borrow::Cow;

/// The longest path and the longest name that Linux opens.
const MAX_PATH: usize = 4095;
const MAX_NAME: usize = 255;

/// Parts a request's target below the root: the path without the first slash, and the query with
/// its `?`.
pub(crate) fn split(target: &str) -> (&str, &str) {
    let path = target.strip_prefix('/').unwrap_or(target);
    path.split_at(memchr::memchr(b'?', path.as_bytes()).unwrap_or(path.len()))
}

/// Decodes a path below the root and checks that it names something there, by its letters alone:
/// every segment is a plain name, none is hidden. An empty path, or one that ends in a slash, is a
/// folder.
///
/// `None` for everything else, which is never looked for: `.` and `..`, names that begin with a dot
/// (but for a first `.well-known`), empty segments, backslashes, control characters, broken
/// escapes, bytes that are no UTF-8 (so that overlong forms are out), and dots, slashes and
/// backslashes that hide in escapes.
pub(crate) fn parse(raw: &str) -> Option<Cow<'_, str>> {
    let path = decode(raw)?;
    is_plain(&path).then_some(path)
}

fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'%', raw.as_bytes()).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (high, low) = (char::from(bytes.next()?).to_digit(16)?, char::from(bytes.next()?).to_digit(16)?);
        let byte = (high * 16 + low) as u8;
        // Nobody escapes a dot, and a slash must not become one that parts segments.
        if matches!(byte, b'.' | b'/' | b'\\') {
            return None;
        }
        out.push(byte);
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn is_plain(path: &str) -> bool {
    if path.len() > MAX_PATH || path.bytes().any(|byte| byte == b'\\' || byte.is_ascii_control()) {
        return false;
    }
    let names = path.strip_suffix('/').unwrap_or(path);
    path.is_empty() || names.split('/').enumerate().all(|(depth, name)| is_name(name, depth))
}

/// Whether a file of this name may be asked for; `top`: directly in the root.
pub(crate) fn is_listed(top: bool, name: &str) -> bool {
    is_plain(name) && is_name(name, usize::from(!top))
}

fn is_name(name: &str, depth: usize) -> bool {
    // RFC 8615 §3: the one hidden folder that is meant to be seen.
    let hidden = name.starts_with('.') && !(depth == 0 && name == ".well-known");
    !name.is_empty() && name.len() <= MAX_NAME && !hidden
}

#[cfg(test)]
mod tests;
