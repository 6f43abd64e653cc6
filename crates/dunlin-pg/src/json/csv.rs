//! Comma-separated values (RFC 4180).

use super::column::{Column, Error};
use super::encoder::Encoder;
use super::reader::Malformed;
use super::time::Style;

/// Writes the line of names.
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

/// Writes a line of values. NULL is empty, and an empty text is `""`. An array or a composite is
/// JSON.
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
    use super::vector::sparse;
    match encoder {
        Encoder::Scalar(scalar) => scalar.text(raw, Style::Iso, out),
        Encoder::Range(bound) => range(raw, *bound, out),
        Encoder::Multirange(bound) => multirange(raw, *bound, out),
        Encoder::SparseVector => sparse(raw, out),
        Encoder::Array(_)
        | Encoder::Composite(_)
        | Encoder::Hstore
        | Encoder::Geometry
        | Encoder::Vector
        | Encoder::HalfVector => encoder.json(raw, out),
    }
}

// RFC 4180 §2: fields with line breaks, quotes or commas are quoted, and their quotes doubled.
// Empty texts are quoted too, so that they differ from NULL, and so are texts with white space at
// an end, so that no reader trims them.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_postgres::types::Type;

    use super::*;

    /// The fields of one record, by the grammar of RFC 4180 §2. An empty one without quotes is
    /// NULL.
    fn parse(record: &str) -> Vec<Option<String>> {
        let mut rest = record.strip_suffix("\r\n").unwrap();
        let mut fields = Vec::new();
        loop {
            if let Some(quoted) = rest.strip_prefix('"') {
                let mut field = String::new();
                rest = quoted;
                loop {
                    let end = rest.find('"').unwrap();
                    field.push_str(&rest[..end]);
                    rest = &rest[end + 1..];
                    match rest.strip_prefix('"') {
                        Some(more) => rest = more,
                        None => break,
                    }
                    field.push('"');
                }
                fields.push(Some(field));
            } else {
                let end = rest.find(',').unwrap_or(rest.len());
                fields.push((end > 0).then(|| rest[..end].to_owned()));
                rest = &rest[end..];
            }
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return fields,
            }
        }
    }

    proptest! {
        #[test]
        fn every_line_reads_back(values in prop::collection::vec(prop::option::of("[a,\" \r\n\té]{0,6}"), 1..5)) {
            let columns: Vec<_> = values.iter().map(|_| Column::new("c", &Type::TEXT).unwrap()).collect();
            let mut out = Vec::new();
            line(&mut out, &columns, values.iter().map(|value| value.as_deref().map(str::as_bytes))).unwrap();
            prop_assert_eq!(parse(std::str::from_utf8(&out).unwrap()), values);
        }
    }
}
