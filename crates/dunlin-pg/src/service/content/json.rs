//! Fields of a JSON body, at any depth.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::value::RawValue;

use super::refused;
use crate::error::Error;
use crate::param::{Json, Param};

/// The members of an object by name. The last one of a name counts.
pub(super) type Members<'b> = BTreeMap<String, &'b RawValue>;

/// The members of a body.
pub(super) fn members(bytes: &[u8]) -> Result<Members<'_>, Error> {
    let invalid =
        |error: serde_json::Error| refused(StatusCode::BAD_REQUEST, format!("the body is not valid JSON: {error}"));
    let whole: &RawValue = serde_json::from_slice(bytes).map_err(invalid)?;
    if !whole.get().starts_with('{') {
        return Err(refused(StatusCode::BAD_REQUEST, "the body has to be a JSON object"));
    }
    serde_json::from_str(whole.get()).map_err(invalid)
}

/// The member `path`, or else the one that its parts lead to.
pub(super) fn get(members: &Members<'_>, path: &str) -> Option<Param> {
    if let Some(value) = members.get(path) {
        return Some(Param::Json(Json::from_raw((*value).to_owned())));
    }
    let (first, rest) = path.split_once('.')?;
    let inner = members.get(first)?.get();
    if !inner.starts_with('{') {
        return None;
    }
    get(&serde_json::from_str(inner).ok()?, rest)
}
