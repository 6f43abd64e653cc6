//! Columns, and a row by them.

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::encoder::{Encoder, key};
use super::reader::Malformed;

/// A column of an answer: its name, escaped once, and how its values are written, chosen once by
/// its type.
#[derive(Clone, Debug)]
pub struct Column {
    name: Box<str>,
    type_name: Box<str>,
    key: Box<[u8]>,
    pub(crate) encoder: Encoder,
}

/// Why an answer cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Values of this type have no form here. The statement has to cast them.
    #[error(
        "column \"{column}\" is of type {type_name}, which cannot be written as it is: cast it, as in \"{column}\"::text"
    )]
    Unsupported {
        /// The column's name.
        column: Box<str>,
        /// The type's name in `pg_type`.
        type_name: Box<str>,
    },
    /// A value is not what its type says: text that is no UTF-8 (of a database whose encoding is
    /// `SQL_ASCII`), or bytes of a server whose format is not known here.
    #[error("column \"{column}\" holds a value that is not a readable {type_name}")]
    Malformed {
        /// The column's name.
        column: Box<str>,
        /// The type's name in `pg_type`.
        type_name: Box<str>,
    },
    /// A row has not the columns that were described: the statement's result has changed its shape
    /// since.
    #[error("a row has {found} columns where {expected} were described")]
    Shape {
        /// How many columns were described.
        expected: usize,
        /// How many the row has.
        found: usize,
    },
}

/// A value of any type as the server sent it, in its binary format.
#[derive(Clone, Copy, Debug)]
pub struct RawValue<'a>(pub &'a [u8]);

/// Appends a row as one JSON object: `{"id":7,"name":"O\"Hara"}`.
///
/// # Errors
///
/// When the row has not these columns, or a value cannot be read; what was appended by then is
/// removed.
pub fn write_row(out: &mut Vec<u8>, columns: &[Column], row: &Row) -> Result<(), Error> {
    write_object(out, columns, values(columns, row)?)
}

/// The raw values of a row.
pub(crate) fn values<'r>(columns: &[Column], row: &'r Row) -> Result<impl Iterator<Item = Option<&'r [u8]>>, Error> {
    if row.len() != columns.len() {
        return Err(Error::Shape { expected: columns.len(), found: row.len() });
    }
    // It cannot fail: the index is in bounds, and every type is accepted.
    Ok((0..row.len()).map(|i| row.try_get::<_, Option<RawValue<'r>>>(i).ok().flatten().map(|raw| raw.0)))
}

pub(crate) fn write_object<'r>(
    out: &mut Vec<u8>,
    columns: &[Column],
    values: impl Iterator<Item = Option<&'r [u8]>>,
) -> Result<(), Error> {
    let start = out.len();
    out.push(b'{');
    for (i, (column, value)) in columns.iter().zip(values).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&column.key);
        if let Err(Malformed) = column.encoder.json_or_null(value, out) {
            out.truncate(start);
            return Err(column.malformed());
        }
    }
    out.push(b'}');
    Ok(())
}

// === impl Column ===

impl Column {
    /// The column `name` whose values are of type `ty`, as the statement's description says.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] when values of this type, or of one that it is made of, have no form
    /// here.
    pub fn new(name: &str, ty: &Type) -> Result<Column, Error> {
        match Encoder::of(ty) {
            Some(encoder) => Ok(Column { name: name.into(), type_name: ty.name().into(), key: key(name), encoder }),
            None => Err(Error::Unsupported { column: name.into(), type_name: ty.name().into() }),
        }
    }

    /// The columns of a statement.
    ///
    /// # Errors
    ///
    /// As [`Column::new`], for the first one that cannot be written.
    pub fn all(columns: &[tokio_postgres::Column]) -> Result<Box<[Column]>, Error> {
        columns.iter().map(|column| Column::new(column.name(), column.type_())).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn malformed(&self) -> Error {
        Error::Malformed { column: self.name.clone(), type_name: self.type_name.clone() }
    }
}

// === impl RawValue ===

impl<'a> FromSql<'a> for RawValue<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(RawValue(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
