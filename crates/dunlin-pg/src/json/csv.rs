//! RFC 4180: comma-separated values.

use super::column::{Column, Error};
use super::encoder::Encoder;
use super::reader::Malformed;
use super::time::Style;

/// The line of names.
pub(crate) fn header(columns: &[Column], out: &mut Vec<u8>) {
    for (i, column) in columns.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let start = out.len();
        out.extend_from_slice(column.name().as_bytes());
        quote_if_needed(start, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// A line of values. NULL is nothing, an empty text is `""`; an array or a composite is a cell of JSON.
pub(crate) fn line<'r>(
    out: &mut Vec<u8>,
    columns: &[Column],
    values: impl Iterator<Item = Option<&'r [u8]>>,
) -> Result<(), Error> {
    let begin = out.len();
    for (i, (column, value)) in columns.iter().zip(values).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let Some(value) = value else { continue };
        let start = out.len();
        if let Err(Malformed) = cell(&column.encoder, value, out) {
            out.truncate(begin);
            return Err(column.malformed());
        }
        quote_if_needed(start, out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn cell(encoder: &Encoder, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    use super::container::{multirange, range};
    match encoder {
        Encoder::Scalar(scalar) => scalar.text(raw, Style::Iso, out),
        Encoder::Range(bound) => range(raw, *bound, out),
        Encoder::Multirange(bound) => multirange(raw, *bound, out),
        Encoder::Array(_) | Encoder::Composite(_) | Encoder::Record | Encoder::Hstore => encoder.json(raw, out),
    }
}

// RFC 4180 §2: fields with line breaks, quotes and commas are quoted, quotes in them doubled. Empty ones are quoted too, so
// that they are not taken for NULL, and those with blanks at an end, so that no reader trims them.
fn quote_if_needed(start: usize, out: &mut Vec<u8>) {
    let text = &out[start..];
    let special = |b: &u8| matches!(b, b',' | b'"' | b'\r' | b'\n');
    let blank = |b: Option<&u8>| b.is_none_or(|b| matches!(b, b' ' | b'\t'));
    if !blank(text.first()) && !blank(text.last()) && !text.iter().any(special) {
        return;
    }
    let text = out.split_off(start);
    out.push(b'"');
    for byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
