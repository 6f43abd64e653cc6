//! Text search types: `tsvector` and `tsquery`.

use super::number::integer;
use super::reader::{Malformed, Reader};

/// The limit of the depth of a query, which bounds the stack.
const MAX_DEPTH: usize = 500;

/// Writes a `tsvector`, such as `'fat':2A 'rat':3`.
pub(crate) fn vector(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    for i in 0..raw.count()? {
        if i > 0 {
            out.push(b' ');
        }
        lexeme(raw.c_str()?, out)?;
        for j in 0..raw.u16()? {
            out.push(if j == 0 { b':' } else { b',' });
            let position = raw.u16()?;
            integer(position & 0x3fff, out);
            match position >> 14 {
                3 => out.push(b'A'),
                2 => out.push(b'B'),
                1 => out.push(b'C'),
                _ => {}
            }
        }
    }
    raw.end()
}

fn lexeme(text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    // A database with the encoding SQL_ASCII may have any bytes.
    std::str::from_utf8(text).map_err(|_| Malformed)?;
    out.push(b'\'');
    for &byte in text {
        if byte == b'\'' || byte == b'\\' {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'\'');
    Ok(())
}

enum Node<'a> {
    Operand { lexeme: &'a [u8], weights: u8, prefix: bool },
    Not,
    And,
    Or,
    Phrase(i16),
}

/// Writes a `tsquery`, such as `'fat' & !( 'rat' | 'cat' )`.
pub(crate) fn query(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    if raw.count()? > 0 {
        let mut nodes = raw;
        infix(&mut nodes, 0, false, MAX_DEPTH, out)?;
        raw = nodes;
    }
    raw.end()
}

/// Writes the expression at the cursor. The server sends an operator before its operands, and the
/// right operand first.
fn infix(
    raw: &mut Reader<'_>,
    outer: u8,
    right_of_phrase: bool,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let node = Node::read(raw)?;
    let priority = node.priority();
    let parentheses = priority < outer || (right_of_phrase && matches!(node, Node::Phrase(_)));
    if parentheses {
        out.extend_from_slice(b"( ");
    }
    match node {
        Node::Operand { lexeme: text, weights, prefix } => {
            lexeme(text, out)?;
            if weights != 0 || prefix {
                out.push(b':');
            }
            if prefix {
                out.push(b'*');
            }
            out.extend((0..4).filter(|i| weights & (8 >> i) != 0).map(|i| b'A' + i));
        }
        Node::Not => {
            out.push(b'!');
            infix(raw, priority, false, depth, out)?;
        }
        Node::And | Node::Or | Node::Phrase(_) => {
            let start = out.len();
            infix(raw, priority, matches!(node, Node::Phrase(_)), depth, out)?;
            let right = out.split_off(start);
            infix(raw, priority, false, depth, out)?;
            match node {
                Node::And => out.extend_from_slice(b" & "),
                Node::Or => out.extend_from_slice(b" | "),
                Node::Phrase(1) => out.extend_from_slice(b" <-> "),
                Node::Phrase(distance) => {
                    out.extend_from_slice(b" <");
                    integer(distance, out);
                    out.extend_from_slice(b"> ");
                }
                Node::Operand { .. } | Node::Not => {}
            }
            out.extend_from_slice(&right);
        }
    }
    if parentheses {
        out.extend_from_slice(b" )");
    }
    Ok(())
}

// === impl Node ===

impl<'a> Node<'a> {
    fn read(raw: &mut Reader<'a>) -> Result<Node<'a>, Malformed> {
        match raw.u8()? {
            1 => Ok(Node::Operand { weights: raw.u8()?, prefix: raw.u8()? != 0, lexeme: raw.c_str()? }),
            2 => match raw.u8()? {
                1 => Ok(Node::Not),
                2 => Ok(Node::And),
                3 => Ok(Node::Or),
                4 => Ok(Node::Phrase(raw.i16()?)),
                _ => Err(Malformed),
            },
            _ => Err(Malformed),
        }
    }

    fn priority(&self) -> u8 {
        match self {
            Node::Or => 1,
            Node::And => 2,
            Node::Phrase(_) => 3,
            Node::Not => 4,
            Node::Operand { .. } => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lexemes_are_utf_8() {
        #[track_caller]
        fn check(write: fn(&[u8], &mut Vec<u8>) -> Result<(), Malformed>, raw: &[u8], expect: Option<&str>) {
            let mut out = Vec::new();
            let written = write(raw, &mut out).ok().map(|()| out.as_slice());
            assert_eq!(written, expect.map(str::as_bytes), "{}", raw.escape_ascii());
        }
        check(vector, b"\0\0\0\x01\xc3\xa4\0\0\0", Some("'ä'"));
        check(vector, b"\0\0\0\x01\xe4\0\0\0", None);
        check(query, b"\0\0\0\x01\x01\0\0\xc3\xa4\0", Some("'ä'"));
        check(query, b"\0\0\0\x01\x01\0\0\xe4\0", None);
    }
}
