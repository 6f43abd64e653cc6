//! The schemas of parameters.

use dunlin_pg::json::{nullable, schema};
use dunlin_pg::param::Param;
use dunlin_pg::tokio_postgres::types::Type;
use dunlin_pg::{Place, Source};
use serde_json::{Value, json};

/// The schema of a parameter, with its default.
pub(super) fn with_default(source: &Source, ty: Option<&Type>) -> Value {
    let mut schema = ty.map_or_else(|| json!({}), schema);
    match source.default() {
        None => {}
        // Outside of a body there is no null: the parameter is absent.
        Some(Param::Null) if source.place() == Place::Body => schema = nullable(schema),
        Some(Param::Json(value)) => schema["default"] = serde_json::from_str(value.as_str()).unwrap_or_default(),
        // A default that is written as text is a value of the type.
        Some(Param::Text(text)) => {
            let is_text = schema["type"] == "string";
            schema["default"] = match serde_json::from_str(text) {
                Ok(value) if !is_text => value,
                _ => text.as_str().into(),
            };
        }
        Some(_) => {}
    }
    schema
}
