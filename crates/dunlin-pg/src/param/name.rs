//! The names of types.

use std::borrow::Cow;

use tokio_postgres::types::{Kind, Type};

/// The name of a type in SQL: `bigint` for `int8`, `text[]` for an array of `text`.
#[must_use]
pub fn type_name(ty: &Type) -> Cow<'_, str> {
    Cow::Borrowed(match *ty {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::VARCHAR => "character varying",
        Type::BPCHAR => "character",
        Type::CHAR => "\"char\"",
        Type::VARBIT => "bit varying",
        Type::TIME => "time without time zone",
        Type::TIMETZ => "time with time zone",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::INT2_VECTOR | Type::OID_VECTOR => ty.name(),
        _ => match ty.kind() {
            Kind::Array(element) => return Cow::Owned(format!("{}[]", type_name(element))),
            _ => ty.name(),
        },
    })
}
