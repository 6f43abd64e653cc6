//! [`Bound`]: a parameter in the form that is sent.

use std::fmt;

use bytes::BytesMut;
use smallvec::SmallVec;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

/// The bytes of a value. Most parameters are numbers, which need no allocation.
pub(super) type Buffer = SmallVec<[u8; 24]>;

/// A value in the form that is sent, or NULL. Its `Debug` form does not show the value, because
/// parameters do not belong in a log.
#[derive(Clone)]
pub struct Bound {
    value: Option<Buffer>,
    format: Format,
}

/// Returns the index of the parameter that the server refused, if the error says so.
///
/// Types that [`bind`](super::bind) does not read are sent as text. The type's input function
/// refuses a value with an error whose context names the parameter. Most have an SQLSTATE of class
/// 22, but a `regclass` of an unknown name has 42P01, and a value that is nested too deeply 54001.
/// An error that no value causes, such as a lost type or a cancellation, gives `None`.
#[must_use]
pub fn blamed(error: &tokio_postgres::Error) -> Option<usize> {
    let error = error.as_db_error()?;
    let code = error.code().code();
    let by_value = match code.get(..2) {
        Some("42") => code != "42501",
        Some("XX") => !is_lost_object(error),
        Some("0A" | "3D" | "3F" | "54") => true,
        _ => code.starts_with('2'),
    };
    if by_value { parameter_in(error.where_()?) } else { None }
}

/// Returns `true` if the server has lost a part of a plan, for example a type that was dropped and
/// created again. The texts of internal errors are always in English.
pub(crate) fn is_lost_object(error: &DbError) -> bool {
    *error.code() == SqlState::INTERNAL_ERROR
        && ["cache lookup failed for", "could not open relation with OID"]
            .iter()
            .any(|start| error.message().starts_with(start))
}

/// Returns the index of the parameter in the context of an error. The context's outermost line is,
/// for example, `unnamed portal parameter $1 = '...'`. Its words depend on `lc_messages`.
fn parameter_in(context: &str) -> Option<usize> {
    // With log_parameter_max_length_on_error the line has the value, which may have several lines.
    let named = context.lines().rev().find(|line| line.starts_with("unnamed portal parameter $"));
    let line = named.or_else(|| context.lines().next_back())?;
    let (before, number) = line.split_once('$')?;
    // It is a statement in quotes, or a function whose name has a dollar sign.
    let is_quoted = before.matches('"').count() % 2 == 1 || before.matches('»').count() != before.matches('«').count();
    if is_quoted || before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse::<usize>().ok()?.checked_sub(1)
}

// === impl Bound ===

impl Bound {
    pub(super) fn null() -> Bound {
        Bound { value: None, format: Format::Binary }
    }

    pub(super) fn binary(value: &[u8]) -> Bound {
        Bound { value: Some(Buffer::from_slice(value)), format: Format::Binary }
    }

    pub(super) fn text(value: &str) -> Bound {
        Bound { value: Some(Buffer::from_slice(value.as_bytes())), format: Format::Text }
    }

    pub(super) fn from_vec(value: Vec<u8>, format: Format) -> Bound {
        Bound { value: Some(Buffer::from_vec(value)), format }
    }

    pub(super) fn is_binary(&self) -> bool {
        matches!(self.format, Format::Binary)
    }

    /// The bytes to send, or `None` for NULL.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    /// The format of the bytes: the type's binary format or its text format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Bound) -> bool {
        self.value == other.value && self.is_binary() == other.is_binary()
    }
}

impl Eq for Bound {}

impl std::hash::Hash for Bound {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
        self.is_binary().hash(state);
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("format", &self.format).field("null", &self.value.is_none()).finish()
    }
}

impl ToSql for Bound {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.value {
            None => Ok(IsNull::Yes),
            Some(value) => {
                out.extend_from_slice(value);
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        self.format
    }

    tokio_postgres::types::to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::parameter_in;

    #[test]
    fn a_context_names_its_parameter() {
        for (context, index) in [
            ("unnamed portal parameter $1", Some(0)),
            ("unnamed portal parameter $12 = '...'", Some(11)),
            ("portal \"p0\" parameter $2 = '$1'", Some(1)),
            ("PL/pgSQL function f(text) line 3 at RAISE\nunnamed portal parameter $1", Some(0)),
            ("invalid type name \"a b\"\nunnamed portal parameter $3", Some(2)),
            ("Parameter $2 von Portal »p0«", Some(1)),
            ("名前のないポータルのパラメータ$1", Some(0)),
            ("SQL statement \"SELECT $1\"", None),
            ("SQL-Anweisung »SELECT $1«", None),
            ("PL/pgSQL function f$1(integer) line 1 at RETURN", None),
            ("unnamed portal parameter $2 = 'a\nb'", Some(1)),
            ("SQL statement \"SELECT\n$1\"\nPL/pgSQL function f() line 1", None),
            ("parameter $0", None),
            ("parameter $", None),
            ("", None),
        ] {
            assert_eq!(parameter_in(context), index, "{context}");
        }
    }
}
