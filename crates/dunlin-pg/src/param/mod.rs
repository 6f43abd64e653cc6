//! Parameters from text or JSON to what a statement expects, as PostgreSQL's own description of it
//! says.
//!
//! What comes with a request, a part of a path, a field of a query string, a member of a JSON body,
//! is read by the type of the parameter it is meant for, before the server is asked: so what does
//! not parse is the client's error, known at once, with the type that was expected. The common
//! types are checked and sent in binary; any other type is sent as text, and PostgreSQL's own input
//! function is the judge ([`blamed`] tells which parameter it refused).
//!
//! | what comes | what it may become |
//! |---|---|
//! | text | any type, from its text form: numbers as PostgreSQL reads them, dates and times by ISO 8601 and RFC 3339 |
//! | several texts | an array of them |
//! | a JSON number | a type of numbers, without loss; an integer only from what has no fraction |
//! | a JSON boolean | `boolean` |
//! | a JSON string | any type but `boolean`, from its text form; `json` and `jsonb` take it as a string |
//! | a JSON array | an array, of several dimensions when nested; `json`, `jsonb` |
//! | a JSON object | a composite, by its fields' names; `json`, `jsonb` |
//! | JSON's `null` | NULL |
//!
//! One text for an array is an array of one. Where that cannot be meant, `{1,2}` for `integer[]`,
//! it is PostgreSQL's own form.
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
mod json;
mod literal;
mod moment;
mod name;
mod text;

use serde_json::Value;
use serde_json::value::RawValue;
use tokio_postgres::types::{Kind, Type};

pub use self::bound::{Bound, blamed};
pub use self::json::Json;
pub use self::name::type_name;

use self::json::Level;

/// What a request gave for a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// Nothing: NULL.
    Null,
    /// A part of a path, or a field of a query string.
    Text(String),
    /// A member of a JSON body.
    Json(Json),
    /// A field that came several times in a query string.
    Many(Vec<String>),
}

/// What was given is not what the statement expects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no value of this type.
    #[error("expected {expected}")]
    Invalid {
        /// The type, by the name that SQL gives it: `bigint`, `timestamp with time zone`, `text[]`.
        expected: String,
    },
    /// It would be one, were it smaller, or were there such a day.
    #[error("out of range for {expected}")]
    OutOfRange {
        /// The type, by the name that SQL gives it.
        expected: String,
    },
}

/// Why one value is refused; the type is added where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Invalid,
    OutOfRange,
}

/// Reads `param` as a value of type `ty`.
///
/// # Errors
///
/// When it is none, or one out of range. Types that are sent as text are not read here: the server
/// refuses what it cannot read, with an SQLSTATE of class 22.
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
    };
    bound.map_err(|refused| refused.name(ty))
}

/// The type that a domain is made of.
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
        // These two have a text form of their own: `1 2 3`.
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
        (_, level) => text::bind(ty, &literal::scalar(ty, level)?),
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

from_number!(i16 i32 i64 u32 f32 f64 bool);

impl<T: Into<Param>> From<Option<T>> for Param {
    fn from(value: Option<T>) -> Param {
        value.map_or(Param::Null, Into::into)
    }
}

// === impl Error ===

impl Error {
    /// The type that was expected, by the name that SQL gives it.
    #[must_use]
    pub fn expected(&self) -> &str {
        match self {
            Error::Invalid { expected } | Error::OutOfRange { expected } => expected,
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
        }
    }
}
