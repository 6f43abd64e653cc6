//! Decodes and checks request paths. Pure.

use std::borrow::Cow;

/// The longest path that Linux opens, in bytes.
const MAX_PATH: usize = 4095;
/// The longest name that Linux opens, in bytes.
const MAX_NAME: usize = 255;

/// Splits a target below the root into the path, without its first slash, and the query, with its
/// `?`.
pub(crate) fn split(target: &str) -> (&str, &str) {
    let path = target.strip_prefix('/').unwrap_or(target);
    path.split_at(memchr::memchr(b'?', path.as_bytes()).unwrap_or(path.len()))
}

/// Decodes a path below the root. Returns `None` if it is invalid; such a path is never looked up.
///
/// In a valid path, every segment is a plain name that is not hidden. An empty path, or one that
/// ends in a slash, names a folder. A path is invalid if it has one of these:
///
/// - `.`, `..`, or a name that begins with a dot, except `.well-known` as the first segment,
/// - an empty segment, a backslash, or a control character,
/// - a broken escape, or bytes that are not UTF-8, such as overlong forms,
/// - an escaped dot, slash or backslash.
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
        // No client needs to escape a dot, and an escaped slash must not separate segments.
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

/// Returns `true` if a file of this name is served. `top` says that it lies directly in the root.
pub(crate) fn is_served(top: bool, name: &str) -> bool {
    is_plain(name) && is_name(name, usize::from(!top))
}

fn is_name(name: &str, depth: usize) -> bool {
    // RFC 8615 §3: this one hidden folder is public.
    let hidden = name.starts_with('.') && !(depth == 0 && name == ".well-known");
    !name.is_empty() && name.len() <= MAX_NAME && !hidden
}

#[cfg(test)]
mod tests;
