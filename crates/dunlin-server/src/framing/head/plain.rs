//! Plain heads, as nearly all are, parsed in one pass.

use std::ops::Range;

use http::{Method, Version};
use smallvec::SmallVec;

use super::HeadLimits;
use super::names::{self, Known};
use super::scan;

/// The parts of a head's first line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) method: Method,
    pub(super) target: Range<usize>,
    pub(super) version: Version,
}

/// The position of a field in a head.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) known: Option<&'static Known>,
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The number of fields that fit on the stack.
pub(super) type Fields = SmallVec<[Field; 32]>;

/// Parses the head that `bytes` begin with, if it is complete and plain, and returns its length. A
/// plain head has a common method, a target in origin form, a supported version, well-formed
/// fields, and is within the limits.
///
/// `None` does not reject the head: httparse decides then. httparse accepts every plain head, with
/// the same parts.
pub(super) fn read(bytes: &[u8], limits: &HeadLimits, fields: &mut Fields) -> Option<(Line, usize)> {
    // Bytes further off are beyond the limits.
    let bytes = &bytes[..bytes.len().min(limits.bytes)];
    let (method, from) = method(bytes)?;
    let to = from + scan::target(bytes.get(from..)?);
    let version = match bytes.get(to..)?.first_chunk()? {
        b" HTTP/1.1\r\n" => Version::HTTP_11,
        b" HTTP/1.0\r\n" => Version::HTTP_10,
        _ => return None,
    };
    if bytes[from] != b'/' || to - from > limits.target {
        return None;
    }
    let mut at = to + 11;
    loop {
        let rest = bytes.get(at..)?;
        if rest.starts_with(b"\r\n") {
            return Some((Line { method, target: from..to, version }, at + 2));
        }
        let (field, len) = field(rest, at)?;
        if fields.len() == limits.fields.min(super::MAX_FIELDS) {
            return None;
        }
        fields.push(field);
        at += len;
    }
}

/// Returns the method that `bytes` begin with, and the position of the target.
fn method(bytes: &[u8]) -> Option<(Method, usize)> {
    Some(match bytes {
        [b'G', b'E', b'T', b' ', ..] => (Method::GET, 4),
        [b'H', b'E', b'A', b'D', b' ', ..] => (Method::HEAD, 5),
        [b'P', b'O', b'S', b'T', b' ', ..] => (Method::POST, 5),
        [b'P', b'U', b'T', b' ', ..] => (Method::PUT, 4),
        [b'P', b'A', b'T', b'C', b'H', b' ', ..] => (Method::PATCH, 6),
        [b'D', b'E', b'L', b'E', b'T', b'E', b' ', ..] => (Method::DELETE, 7),
        [b'O', b'P', b'T', b'I', b'O', b'N', b'S', b' ', ..] => (Method::OPTIONS, 8),
        _ => return None,
    })
}

/// Returns the field that `line` begins with, and the length of its line. `at` is the position of
/// the line in the head.
#[inline]
fn field(line: &[u8], at: usize) -> Option<(Field, usize)> {
    let name_len = scan::name(line);
    let (name, rest) = line.split_at(name_len);
    if rest.first() != Some(&b':') {
        return None;
    }
    let known = names::known(name);
    if known.is_none() && !is_token(name) {
        return None;
    }
    // RFC 9112 §5: white space around the value is not part of it.
    let mut from = name_len + 1;
    while is_blank(*line.get(from)?) {
        from += 1;
    }
    let mut end = from;
    loop {
        end += scan::value(&line[end..]);
        match line.get(end..)? {
            [b'\r', b'\n', ..] => break,
            [b'\t', ..] => end += 1,
            _ => return None,
        }
    }
    let len = end + 2;
    while end > from && is_blank(line[end - 1]) {
        end -= 1;
    }
    let field = Field { known, name: at..at + name_len, value: at + from..at + end };
    Some((field, len))
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// `token = 1*tchar` (RFC 9110 §5.6.2).
fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| TOKEN[byte as usize])
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = matches!(
            byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-'
                | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
        byte += 1;
    }
    table
};
