//! Array parameters.

use serde_json::value::RawValue;
use tokio_postgres::types::{Format, Type};

use super::json::Level;
use super::quoted::quoted;
use super::{Bound, Refused, base, bind_json, bind_text, is_json, literal, text};

/// PostgreSQL's `MAXDIM`.
const MAX_DIMENSIONS: usize = 6;

/// The shape of a nested JSON array: its values in the order of storage, and the length of the
/// arrays of each depth.
#[derive(Default)]
struct Shape<'v> {
    lengths: Vec<usize>,
    leaves: Vec<&'v RawValue>,
    /// The depth of the arrays that hold values.
    bottom: Option<usize>,
}

/// Returns `true` if a text for an array of `element` can only be PostgreSQL's own form of arrays.
pub(super) fn is_literal(element: &Type, text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && text::is_read_here(base(element)) && !text::is_free(base(element))
}

/// Makes an array of one dimension.
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
        quoted(text, &mut out);
    }
    out.push('}');
    Ok(Bound::from_vec(out.into_bytes(), Format::Text))
}

/// Makes an array with as many dimensions as `values` is deep.
pub(super) fn of_json(element: &Type, values: &[&RawValue]) -> Result<Bound, Refused> {
    let mut shape = Shape::default();
    if !values.is_empty() {
        shape.collect(values, 0, is_json(base(element)))?;
    }
    if text::is_binary(base(element)) {
        let values = shape.leaves.into_iter().map(|leaf| bind_json(element, leaf)).collect::<Result<Vec<_>, _>>()?;
        return binary(element, &shape.lengths, &values);
    }
    let mut out = String::new();
    literal::array(element, values, &mut out)?;
    Ok(Bound::from_vec(out.into_bytes(), Format::Text))
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

// === impl Shape ===

impl<'v> Shape<'v> {
    /// Collects the values. Arrays of one depth have one length, and contain either only arrays or
    /// only values.
    fn collect(&mut self, values: &[&'v RawValue], depth: usize, of_json: bool) -> Result<(), Refused> {
        if depth == self.lengths.len() {
            self.lengths.push(values.len());
        }
        if depth >= MAX_DIMENSIONS || values.is_empty() || self.lengths[depth] != values.len() {
            return Err(Refused::Invalid);
        }
        for &value in values {
            match Level::of(value).ok_or(Refused::Invalid)? {
                Level::Array(inner) if !of_json => {
                    if self.bottom == Some(depth) {
                        return Err(Refused::Invalid);
                    }
                    self.collect(&inner, depth + 1, of_json)?;
                }
                _ => {
                    if self.lengths.len() > depth + 1 {
                        return Err(Refused::Invalid);
                    }
                    self.bottom = Some(depth);
                    self.leaves.push(value);
                }
            }
        }
        Ok(())
    }
}
