//! [`schema`]: the form of a type's JSON, as a JSON Schema.

use serde_json::{Map, Value, json};
use tokio_postgres::types::{Kind, Type};

use crate::param::type_name;

/// The JSON Schema (draft 2020-12) of the JSON that a value of this type is written as. Parameters
/// of the type have the same form.
///
/// `x-postgresql-type` has the type's name in SQL. The values of columns may be NULL; see
/// [`nullable`].
#[must_use]
pub fn schema(ty: &Type) -> Value {
    let mut schema = match ty.kind() {
        Kind::Domain(base) => schema(base),
        Kind::Array(element) => json!({"type": "array", "items": nullable(schema(element))}),
        Kind::Enum(labels) => json!({"type": "string", "enum": labels, "examples": labels.get(..1)}),
        Kind::Composite(fields) => {
            let properties: Map<String, Value> =
                fields.iter().map(|field| (field.name().to_owned(), nullable(schema(field.type_())))).collect();
            let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
            json!({"type": "object", "properties": properties, "required": names})
        }
        _ => simple(ty),
    };
    schema["x-postgresql-type"] = type_name(ty).into();
    schema
}

/// The schema of a value that may be NULL.
#[must_use]
pub fn nullable(mut schema: Value) -> Value {
    if let Some(name) = schema["type"].as_str() {
        schema["type"] = json!([name, "null"]);
        if let Some(Value::Array(labels)) = schema.get_mut("enum") {
            labels.push(Value::Null);
        }
    }
    schema
}

fn simple(ty: &Type) -> Value {
    let with =
        |name: &str, format: &str, example: Value| json!({"type": name, "format": format, "examples": [example]});
    let text = |example: &str| json!({"type": "string", "examples": [example]});
    match *ty {
        Type::BOOL => json!({"type": "boolean", "examples": [true]}),
        Type::INT2 | Type::INT4 => with("integer", "int32", 1.into()),
        Type::INT8 | Type::OID => with("integer", "int64", 1.into()),
        Type::FLOAT4 => with("number", "float", 1.5.into()),
        Type::FLOAT8 => with("number", "double", 1.5.into()),
        Type::NUMERIC => json!({"type": "number", "examples": [12.5]}),
        Type::UUID => with("string", "uuid", "8f14e45f-ceea-467f-9a0b-1b7e2d3c4a5b".into()),
        Type::DATE => with("string", "date", "2026-01-31".into()),
        Type::TIMESTAMPTZ => with("string", "date-time", "2026-01-31T12:00:00+00:00".into()),
        Type::TIMESTAMP => text("2026-01-31T12:00:00"),
        Type::TIME => text("12:00:00"),
        Type::INTERVAL => with("string", "duration", "P1DT2H".into()),
        Type::BYTEA => text("\\x48656c6c6f"),
        Type::INET => text("192.0.2.1"),
        Type::JSON | Type::JSONB => json!({}),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => text("text"),
        _ if ty.name() == "hstore" => json!({"type": "object", "additionalProperties": {"type": ["string", "null"]}}),
        _ => json!({"type": "string"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_have_the_form_of_the_json() {
        assert_eq!(
            schema(&Type::INT8),
            json!({"type": "integer", "format": "int64", "examples": [1], "x-postgresql-type": "bigint"})
        );
        let array = schema(&Type::TEXT_ARRAY);
        assert_eq!((&array["type"], &array["items"]["type"]), (&json!("array"), &json!(["string", "null"])));
        assert_eq!(nullable(schema(&Type::BOOL))["type"], json!(["boolean", "null"]));
        assert_eq!(nullable(schema(&Type::JSONB)), json!({"x-postgresql-type": "jsonb"}));
        let labels = Kind::Enum(vec!["new".into(), "old".into()]);
        let state = Type::new("state".into(), 70_000, labels, "public".into());
        assert_eq!(nullable(schema(&state))["enum"], json!(["new", "old", null]));
    }
}
