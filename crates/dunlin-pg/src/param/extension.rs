//! JSON values for types of extensions, as the text that their input functions read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tokio_postgres::types::{Kind, Type};

use super::Refused;
use super::json::Level;
use super::quoted::quoted;

/// Returns the text of an object or an array for a type of an extension: an object for `hstore`,
/// GeoJSON for `geometry`, and numbers for the vectors of pgvector. It is `None` for other types
/// and values.
pub(super) fn text<'v>(ty: &Type, raw: &'v RawValue, level: &Level<'v>) -> Option<Result<Cow<'v, str>, Refused>> {
    if !matches!(ty.kind(), Kind::Simple) {
        return None;
    }
    match (ty.name(), level) {
        ("hstore", Level::Object(members)) => Some(hstore(members).map(Cow::Owned)),
        // PostGIS reads GeoJSON, and judges it.
        ("geometry", Level::Object(_)) | ("vector" | "halfvec", Level::Array(_)) => Some(Ok(Cow::Borrowed(raw.get()))),
        _ => None,
    }
}

/// Writes an `hstore`, such as `"a"=>"1","b"=>NULL`. Its values are texts.
fn hstore(members: &BTreeMap<Cow<'_, str>, &RawValue>) -> Result<String, Refused> {
    let mut out = String::new();
    for (name, value) in members {
        if !out.is_empty() {
            out.push(',');
        }
        quoted(name, &mut out);
        out.push_str("=>");
        match Level::of(value).ok_or(Refused::Invalid)? {
            Level::Null => out.push_str("NULL"),
            Level::Bool(truth) => quoted(if truth { "true" } else { "false" }, &mut out),
            Level::Number(number) => quoted(number, &mut out),
            Level::String(text) => quoted(&text, &mut out),
            Level::Array(_) | Level::Object(_) => return Err(Refused::Invalid),
        }
    }
    Ok(out)
}
