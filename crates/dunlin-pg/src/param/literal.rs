//! JSON values as the text that PostgreSQL reads.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tokio_postgres::types::{Field, Kind, Type};

use super::json::Level;
use super::quoted::quoted;
use super::{Bound, Refused, base, extension, is_json, text};

/// Returns the text of a value within a literal, or `None` for NULL. It is checked if values of its
/// type are read here.
pub(super) fn checked<'v>(ty: &Type, value: &'v RawValue) -> Result<Option<Cow<'v, str>>, Refused> {
    let ty = base(ty);
    let literal = match (ty.kind(), Level::of(value).ok_or(Refused::Invalid)?) {
        (_, Level::Null) => return Ok(None),
        _ if is_json(ty) => Cow::Borrowed(value.get()),
        (Kind::Array(element), Level::Array(values)) => {
            let mut out = String::new();
            array(element, &values, &mut out)?;
            return Ok(Some(Cow::Owned(out)));
        }
        (_, level) => match extension::text(ty, value, &level) {
            Some(literal) => literal?,
            None => scalar(ty, level)?,
        },
    };
    let _: Bound = text::bind(ty, &literal)?;
    Ok(Some(literal))
}

/// Returns the text of a value that is neither an array nor null. The caller checks it against the
/// type.
pub(super) fn scalar<'v>(ty: &Type, value: Level<'v>) -> Result<Cow<'v, str>, Refused> {
    match value {
        Level::String(text) if *ty != Type::BOOL && !matches!(ty.kind(), Kind::Array(_)) => Ok(text),
        Level::Bool(truth) if *ty == Type::BOOL => Ok(Cow::Borrowed(if truth { "true" } else { "false" })),
        Level::Number(number) => numeral(ty, number),
        Level::Object(members) => match ty.kind() {
            Kind::Composite(fields) => composite(fields, &members).map(Cow::Owned),
            _ => Err(Refused::Invalid),
        },
        _ => Err(Refused::Invalid),
    }
}

fn numeral<'v>(ty: &Type, text: &'v str) -> Result<Cow<'v, str>, Refused> {
    match *ty {
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC | Type::MONEY => Ok(Cow::Borrowed(text)),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => {
            // RFC 8259 §6: 1, 1.0 and 1e0 are the same number.
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.bytes().all(|b| b.is_ascii_digit()) {
                return Ok(Cow::Borrowed(text));
            }
            match text.parse::<f64>().ok() {
                Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => Ok(Cow::Owned(format!("{value:.0}"))),
                Some(value) if value.fract() == 0.0 => Err(Refused::OutOfRange),
                _ => Err(Refused::Invalid),
            }
        }
        _ => Err(Refused::Invalid),
    }
}

/// Writes an array, such as `{1,NULL,3}`. Arrays within it are further dimensions.
pub(super) fn array(element: &Type, values: &[&RawValue], out: &mut String) -> Result<(), Refused> {
    let delimiter = if *base(element) == Type::BOX { ';' } else { ',' };
    out.push('{');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(delimiter);
        }
        match Level::of(value).ok_or(Refused::Invalid)? {
            Level::Array(inner) if !is_json(base(element)) => array(element, &inner, out)?,
            _ => match checked(element, value)? {
                None => out.push_str("NULL"),
                Some(text) => quoted(&text, out),
            },
        }
    }
    out.push('}');
    Ok(())
}

/// Writes a composite, such as `(1,,"x y")`. Missing fields are NULL, and unknown ones are an
/// error.
fn composite(fields: &[Field], members: &BTreeMap<Cow<'_, str>, &RawValue>) -> Result<String, Refused> {
    if members.keys().any(|name| fields.iter().all(|field| field.name() != name)) {
        return Err(Refused::Invalid);
    }
    let mut out = String::from("(");
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        if let Some(value) = members.get(field.name())
            && let Some(text) = checked(field.type_(), value)?
        {
            quoted(&text, &mut out);
        }
    }
    out.push(')');
    Ok(out)
}
