//! [`Content`]: a whole body, or a file in one, as a parameter.

use std::fmt;

use bytes::Bytes;
use dunlin_http::query;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio_postgres::types::Type;

use super::{Bound, Refused, base, bind_json, bind_text, is_json};

/// The bytes of a whole body, or of a file in one. The type of the parameter decides how they are
/// read.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    bytes: Bytes,
    kind: ContentKind,
}

/// The form of a [`Content`], by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentKind {
    /// JSON.
    Json,
    /// `application/x-www-form-urlencoded`. As JSON it is an object of strings, and of arrays for
    /// names that come several times.
    Form,
    /// A file of a multipart body. Its text is read like that of a field.
    File,
    /// Any other media type. Its text is read, but not as JSON.
    Other,
}

// === impl Content ===

impl Content {
    /// Makes a content of these bytes.
    #[must_use]
    pub const fn new(bytes: Bytes, kind: ContentKind) -> Self {
        Self { bytes, kind }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The text, if it is UTF-8.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    pub(super) fn bind(&self, ty: &Type) -> Result<Bound, Refused> {
        let plain = base(ty);
        if *plain == Type::BYTEA {
            return Ok(Bound::binary(&self.bytes));
        }
        let text = self.text().ok_or(Refused::Invalid)?;
        if matches!(*plain, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::UNKNOWN) {
            return bind_text(ty, text);
        }
        match self.kind {
            ContentKind::Json => bind_json(ty, serde_json::from_str(text).map_err(|_| Refused::Invalid)?),
            ContentKind::Form => bind_json(ty, &form(text)),
            ContentKind::File => bind_text(ty, text),
            ContentKind::Other if is_json(plain) => Err(Refused::MediaType),
            ContentKind::Other => bind_text(ty, text),
        }
    }
}

/// The `Debug` form shows no value, because parameters do not belong in a log.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Content").field(&self.kind).finish()
    }
}

/// The fields of a form as a JSON object.
fn form(text: &str) -> Box<RawValue> {
    let mut fields = Map::new();
    for (name, value) in query::pairs(text) {
        let value = Value::from(value.into_owned());
        match fields.get_mut(&*name) {
            None => drop(fields.insert(name.into_owned(), value)),
            Some(Value::Array(all)) => all.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    // It cannot fail: the text of a value is JSON.
    RawValue::from_string(Value::Object(fields).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{Param, bind};
    use super::*;

    #[track_caller]
    fn check(ty: &Type, bytes: &'static [u8], kind: ContentKind, expect: Option<&[u8]>) {
        let bound = bind(ty, &Param::Content(Content::new(Bytes::from_static(bytes), kind)));
        assert_eq!(bound.as_ref().ok().and_then(Bound::as_bytes), expect, "{ty} {kind:?} {bound:?}");
    }

    #[test]
    fn the_type_decides_how_a_body_is_read() {
        use ContentKind::{File, Form, Json, Other};
        for kind in [Json, Form, File, Other] {
            check(&Type::BYTEA, b"\xff\0", kind, Some(b"\xff\0"));
            check(&Type::TEXT, b"[1]", kind, Some(b"[1]"));
            check(&Type::TEXT, b"\xff", kind, None);
        }
        check(&Type::JSONB, b" [1, 2]", Json, Some(b"[1, 2]"));
        check(&Type::JSONB, b"[1", Json, None);
        check(&Type::JSONB, b"a=1&b=x+y&a=2", Form, Some(br#"{"a":["1","2"],"b":"x y"}"#));
        check(&Type::JSONB, b"[1]", File, Some(b"[1]"));
        check(&Type::JSONB, b"[1]", Other, None);
        check(&Type::INT4, b"7", Json, Some(&[0, 0, 0, 7]));
        check(&Type::INT4, b"7", Other, Some(&[0, 0, 0, 7]));
        let error = bind(&Type::JSONB, &Content::new("1".into(), Other).into()).unwrap_err();
        assert_eq!(error.to_string(), "expected jsonb, as JSON");
    }
}
