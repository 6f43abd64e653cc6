//! Arrays.

use serde_json::Value;
use tokio_postgres::types::{Format, Type};

use super::{Bound, Refused, base, bind_json, bind_text, is_json, literal, text};

/// PostgreSQL's `MAXDIM`.
const MOST_DIMENSIONS: usize = 6;

/// Whether one text for an array of `element` can only be meant as PostgreSQL's own form of arrays.
pub(super) fn is_literal(element: &Type, text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && text::is_read_here(base(element)) && !text::is_free(base(element))
}

/// An array of one dimension.
pub(super) fn of_texts<'t>(element: &Type, texts: impl Iterator<Item = &'t str>) -> Result<Bound, Refused> {
    if text::is_binary(base(element)) {
        let values = texts.map(|text| bind_text(element, text)).collect::<Result<Vec<_>, _>>()?;
        let lengths = [values.len()];
        return binary(element, if values.is_empty() { &[] } else { &lengths }, &values);
    }
    let mut out = String::from("{");
    for (i, text) in texts.enumerate() {
        if i > 0 {
            out.push(if *base(element) == Type::BOX { ';' } else { ',' });
        }
        let _: Bound = bind_text(element, text)?;
        literal::quoted(text, &mut out);
    }
    out.push('}');
    Ok(Bound::from_vec(out.into_bytes(), Format::Text))
}

/// An array of as many dimensions as `values` is deep.
pub(super) fn of_json(element: &Type, values: &[Value]) -> Result<Bound, Refused> {
    let (mut lengths, mut leaves) = (Vec::new(), Vec::new());
    if !values.is_empty() {
        flatten(element, values, 0, &mut lengths, &mut leaves)?;
    }
    if text::is_binary(base(element)) {
        let values = leaves.into_iter().map(|leaf| bind_json(element, leaf)).collect::<Result<Vec<_>, _>>()?;
        return binary(element, &lengths, &values);
    }
    let mut out = String::new();
    literal::array(element, values, &mut out)?;
    Ok(Bound::from_vec(out.into_bytes(), Format::Text))
}

/// Collects the values in the order of storage; every array of one depth has to have one length.
fn flatten<'v>(
    element: &Type,
    values: &'v [Value],
    depth: usize,
    lengths: &mut Vec<usize>,
    leaves: &mut Vec<&'v Value>,
) -> Result<(), Refused> {
    if depth == lengths.len() {
        lengths.push(values.len());
    }
    if depth >= MOST_DIMENSIONS || values.is_empty() || lengths[depth] != values.len() {
        return Err(Refused::Invalid);
    }
    let nested = |value: &Value| value.is_array() && !is_json(base(element));
    for value in values {
        match value {
            Value::Array(inner) if nested(value) => flatten(element, inner, depth + 1, lengths, leaves)?,
            // A leaf beside an array.
            _ if lengths.len() > depth + 1 => return Err(Refused::Invalid),
            _ => leaves.push(value),
        }
    }
    Ok(())
}

fn binary(element: &Type, lengths: &[usize], values: &[Bound]) -> Result<Bound, Refused> {
    let size = |n: usize| i32::try_from(n).map_err(|_| Refused::OutOfRange);
    let mut out = Vec::with_capacity(20 + values.len() * 12);
    out.extend_from_slice(&size(lengths.len())?.to_be_bytes());
    out.extend_from_slice(&i32::from(values.iter().any(|value| value.as_bytes().is_none())).to_be_bytes());
    out.extend_from_slice(&element.oid().to_be_bytes());
    for &length in lengths {
        out.extend_from_slice(&size(length)?.to_be_bytes());
        out.extend_from_slice(&1i32.to_be_bytes());
    }
    for value in values {
        match value.as_bytes() {
            None => out.extend_from_slice(&(-1i32).to_be_bytes()),
            Some(value) => {
                out.extend_from_slice(&size(value.len())?.to_be_bytes());
                out.extend_from_slice(value);
            }
        }
    }
    Ok(Bound::from_vec(out, Format::Binary))
}
