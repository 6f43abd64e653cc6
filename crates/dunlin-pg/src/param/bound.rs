//! A value that is ready to be sent.

use std::fmt;

use bytes::BytesMut;
use smallvec::SmallVec;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

/// Most parameters are numbers, which stay where the value is.
pub(super) type Buffer = SmallVec<[u8; 24]>;

/// A value as the server takes it, or NULL. Its `Debug` form does not show it: parameters are the
/// client's own matter, and have no place in a log.
#[derive(Clone)]
pub struct Bound {
    value: Option<Buffer>,
    format: Format,
}

/// Which parameter, counted from 0, the server could not read, if that is what this error says.
///
/// Types that [`bind`](super::bind) does not read itself are sent as text; a value that their input
/// function refuses comes back as an error of SQLSTATE class 22 (or 23 for a domain's check) whose
/// context names the parameter.
#[must_use]
pub fn blamed(error: &tokio_postgres::Error) -> Option<usize> {
    let error = error.as_db_error()?;
    if !error.code().code().starts_with('2') {
        return None;
    }
    let number = error.where_()?.split("parameter $").nth(1)?;
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

    /// The bytes to send; `None` is NULL.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    /// Whether the bytes are in the binary format of the type that they were bound for, and not in
    /// its text format.
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
