//! Arrays, composites, ranges and hstore.

use super::encoder::{Encoder, Field};
use super::quote;
use super::reader::{Malformed, Reader};
use super::scalar::Scalar;
use super::time::Style;

/// PostgreSQL's `MAXDIM`.
const MAX_DIMENSIONS: usize = 6;

/// Writes an array of any number of dimensions. As in `to_json`, its lower bounds are left out.
pub(crate) fn array(raw: &[u8], element: &Encoder, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    let count = raw.count()?;
    let (_has_null, _element_oid) = (raw.i32()?, raw.u32()?);
    let mut lengths = [0; MAX_DIMENSIONS];
    for length in lengths.get_mut(..count).ok_or(Malformed)? {
        (*length, _) = (raw.count()?, raw.i32()?);
    }
    let elements = lengths[..count].iter().try_fold(1usize, |all, &length| all.checked_mul(length));
    // An empty array has no dimension. A vector type has one without elements.
    if count == 0 || elements == Some(0) {
        out.extend_from_slice(b"[]");
        return raw.end();
    }
    // An element has at least four bytes, so a larger count cannot be right.
    if elements.is_none_or(|elements| elements > raw.0.len() / 4) {
        return Err(Malformed);
    }
    dimension(&mut raw, &lengths[..count], element, out)?;
    raw.end()
}

fn dimension(raw: &mut Reader<'_>, lengths: &[usize], element: &Encoder, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let Some((&length, inner)) = lengths.split_first() else {
        return element.json_or_null(raw.value()?, out);
    };
    out.push(b'[');
    for i in 0..length {
        if i > 0 {
            out.push(b',');
        }
        dimension(raw, inner, element, out)?;
    }
    out.push(b']');
    Ok(())
}

pub(crate) fn composite(raw: &[u8], fields: &[Field], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    if raw.count()? != fields.len() {
        return Err(Malformed);
    }
    out.push(b'{');
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&field.key);
        // The field has another type than described: the composite has changed since.
        if raw.u32()? != field.oid {
            return Err(Malformed);
        }
        field.encoder.json_or_null(raw.value()?, out)?;
    }
    out.push(b'}');
    raw.end()
}

/// Writes a range, such as `[1,10)`.
pub(crate) fn range(raw: &[u8], bound: Scalar, out: &mut Vec<u8>) -> Result<(), Malformed> {
    const EMPTY: u8 = 0x01;
    const LOWER_INCLUSIVE: u8 = 0x02;
    const UPPER_INCLUSIVE: u8 = 0x04;
    const LOWER_INFINITE: u8 = 0x08;
    const UPPER_INFINITE: u8 = 0x10;

    let mut raw = Reader(raw);
    let flags = raw.u8()?;
    if flags & EMPTY != 0 {
        out.extend_from_slice(b"empty");
        return raw.end();
    }
    out.push(if flags & LOWER_INCLUSIVE != 0 { b'[' } else { b'(' });
    if flags & LOWER_INFINITE == 0 {
        range_bound(raw.value()?, bound, out)?;
    }
    out.push(b',');
    if flags & UPPER_INFINITE == 0 {
        range_bound(raw.value()?, bound, out)?;
    }
    out.push(if flags & UPPER_INCLUSIVE != 0 { b']' } else { b')' });
    raw.end()
}

fn range_bound(raw: Option<&[u8]>, bound: Scalar, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let start = out.len();
    bound.text(raw.ok_or(Malformed)?, Style::Sql, out)?;
    let needs_quotes = |b: &u8| matches!(b, b'"' | b'\\' | b'(' | b')' | b'[' | b']' | b',' | b' ' | 0x09..=0x0d);
    if out.len() > start && !out[start..].iter().any(needs_quotes) {
        return Ok(());
    }
    let text = out.split_off(start);
    out.push(b'"');
    for byte in text {
        if byte == b'"' || byte == b'\\' {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'"');
    Ok(())
}

/// Writes a multirange, such as `{[1,3),[5,7)}`.
pub(crate) fn multirange(raw: &[u8], bound: Scalar, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    out.push(b'{');
    for i in 0..raw.count()? {
        if i > 0 {
            out.push(b',');
        }
        range(raw.value()?.ok_or(Malformed)?, bound, out)?;
    }
    out.push(b'}');
    raw.end()
}

/// Writes an `hstore` as its own cast to `json` does: an object of strings.
pub(crate) fn hstore(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    out.push(b'{');
    for i in 0..raw.count()? {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        quote::string(raw.value()?.ok_or(Malformed)?, out)?;
        out.extend_from_slice(b": ");
        match raw.value()? {
            Some(value) => quote::string(value, out)?,
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    raw.end()
}
