//! Parameters: from the text or JSON of a request to the types of a statement.
//!
//! A value of a request is read by the type of its parameter, before anything is sent. An invalid
//! value is the client's error, and the error names the expected type. The common types are checked
//! and sent in binary. Any other type is sent as text, and PostgreSQL's own input function reads
//! it; [`blamed`] tells which parameter it refused.
//!
//! | in the request | as a parameter |
//! |---|---|
//! | text | any type, from its text form: numbers as PostgreSQL reads them, dates and times by ISO 8601 and RFC 3339 |
//! | several texts | an array |
//! | a JSON number | a numeric type, without loss; an integer only without a fraction |
//! | a JSON boolean | `boolean` |
//! | a JSON string | any type but `boolean`, from its text form; a string in `json` and `jsonb` |
//! | a JSON array | an array, of several dimensions if it is nested; `json`, `jsonb` |
//! | a JSON object | a composite, by the names of its fields; `json`, `jsonb` |
//! | JSON's `null` | NULL |
//! | JSON for a type of an extension | an object for `hstore`, GeoJSON for `geometry`, an array for `vector` and `halfvec` |
//! | a whole body, a file | `bytea` as it is, texts as UTF-8, any other type from its JSON or its text |
//!
//! One text for an array is an array of one. If that is not possible, as in `{1,2}` for
//! `integer[]`, it is PostgreSQL's own form.
//!
//! ```
//! use dunlin_pg::param::{Param, bind};
//! use tokio_postgres::types::Type;
//!
//! assert!(bind(&Type::INT8, &Param::from("42")).is_ok());
//! let error = bind(&Type::INT8, &Param::from("abc")).unwrap_err();
//! assert_eq!(error.to_string(), "expected bigint");
//! let error = bind(&Type::INT2, &Param::from("40000")).unwrap_err();
//! assert_eq!(error.to_string(), "out of range for smallint");
//! ```

mod array;
mod bound;
mod content;
mod extension;
mod json;
mod literal;
mod moment;
mod name;
mod quoted;
mod text;

use serde_json::Value;
use serde_json::value::RawValue;
use tokio_postgres::types::{Kind, Type};

pub(crate) use self::bound::is_lost_object;
pub use self::bound::{Bound, blamed};
pub use self::content::{Content, ContentKind};
pub use self::json::Json;
pub use self::name::type_name;

use self::json::Level;

/// A value for a parameter, as it was in the request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Param {
    /// NULL.
    Null,
    /// A part of a path, or a field of a query string.
    Text(String),
    /// A member of a JSON body.
    Json(Json),
    /// A field that came several times in a query string or a form.
    Many(Vec<String>),
    /// A whole body, or a file in one.
    Content(Content),
}

/// A value that is not valid for its parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not a value of this type.
    #[error("expected {expected}")]
    Invalid {
        /// The name of the type in SQL: `bigint`, `timestamp with time zone`, `text[]`.
        expected: String,
    },
    /// It is too large or too small for this type, or there is no such day.
    #[error("out of range for {expected}")]
    OutOfRange {
        /// The name of the type in SQL.
        expected: String,
    },
    /// It is a body whose media type has no values of this type.
    #[error("expected {expected}, as JSON")]
    MediaType {
        /// The name of the type in SQL.
        expected: String,
    },
}

/// The reason why a value is refused, without the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Invalid,
    OutOfRange,
    MediaType,
}

/// Reads `param` as a value of type `ty`.
///
/// # Errors
/// A value that is not valid or out of range. Types that are sent as text are not read here: the
/// server refuses invalid values; see [`blamed`].
pub fn bind(ty: &Type, param: &Param) -> Result<Bound, Error> {
    let bound = match param {
        Param::Null => Ok(Bound::null()),
        Param::Text(text) => bind_text(ty, text),
        Param::Json(value) => bind_json(ty, value.raw()),
        Param::Many(texts) => match (base(ty).kind(), texts.as_slice()) {
            (Kind::Array(element), _) => array::of_texts(element, texts.iter().map(String::as_str)),
            (_, [text]) => bind_text(ty, text),
            _ => Err(Refused::Invalid),
        },
        Param::Content(content) => content.bind(ty),
    };
    bound.map_err(|refused| refused.name(ty))
}

/// The type under a domain.
fn base(ty: &Type) -> &Type {
    match ty.kind() {
        Kind::Domain(ty) => base(ty),
        _ => ty,
    }
}

fn is_json(ty: &Type) -> bool {
    matches!(*ty, Type::JSON | Type::JSONB)
}

fn bind_text(ty: &Type, text: &str) -> Result<Bound, Refused> {
    let ty = base(ty);
    match ty.kind() {
        // These two have a text form of their own, such as `1 2 3`.
        _ if matches!(*ty, Type::INT2_VECTOR | Type::OID_VECTOR) => text::bind(ty, text),
        Kind::Array(element) if !array::is_literal(element, text) => array::of_texts(element, std::iter::once(text)),
        _ => text::bind(ty, text),
    }
}

fn bind_json(ty: &Type, value: &RawValue) -> Result<Bound, Refused> {
    let ty = base(ty);
    let level = Level::of(value).ok_or(Refused::Invalid)?;
    match (ty.kind(), level) {
        (_, Level::Null) => Ok(Bound::null()),
        _ if is_json(ty) => text::bind(ty, value.get()),
        (Kind::Array(element), Level::Array(values)) => array::of_json(element, &values),
        (_, level) => match extension::text(ty, value, &level) {
            Some(literal) => text::bind(ty, &literal?),
            None => text::bind(ty, &literal::scalar(ty, level)?),
        },
    }
}

// === impl Param ===

impl From<&str> for Param {
    fn from(text: &str) -> Param {
        Param::Text(text.to_owned())
    }
}

impl From<String> for Param {
    fn from(text: String) -> Param {
        Param::Text(text)
    }
}

impl From<Value> for Param {
    fn from(value: Value) -> Param {
        Param::Json(Json::from(&value))
    }
}

impl From<Content> for Param {
    fn from(value: Content) -> Param {
        Param::Content(value)
    }
}

impl From<Json> for Param {
    fn from(value: Json) -> Param {
        Param::Json(value)
    }
}

macro_rules! from_number {
    ($($number:ty)*) => { $(
        impl From<$number> for Param {
            fn from(value: $number) -> Param {
                Param::Text(value.to_string())
            }
        }
    )* };
}

from_number!(i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 bool);

impl From<&String> for Param {
    fn from(text: &String) -> Param {
        Param::Text(text.clone())
    }
}

impl From<Vec<String>> for Param {
    fn from(texts: Vec<String>) -> Param {
        Param::Many(texts)
    }
}

impl From<&[&str]> for Param {
    fn from(texts: &[&str]) -> Param {
        Param::Many(texts.iter().map(|text| (*text).to_owned()).collect())
    }
}

impl<T: Into<Param>> From<Option<T>> for Param {
    fn from(value: Option<T>) -> Param {
        value.map_or(Param::Null, Into::into)
    }
}

// === impl Error ===

impl Error {
    /// The name of the expected type in SQL.
    #[must_use]
    pub fn expected(&self) -> &str {
        match self {
            Error::Invalid { expected } | Error::OutOfRange { expected } | Error::MediaType { expected } => expected,
        }
    }
}

// === impl Refused ===

impl Refused {
    fn name(self, ty: &Type) -> Error {
        let expected = type_name(ty).into_owned();
        match self {
            Refused::Invalid => Error::Invalid { expected },
            Refused::OutOfRange => Error::OutOfRange { expected },
            Refused::MediaType => Error::MediaType { expected },
        }
    }
}
