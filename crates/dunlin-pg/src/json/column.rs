//! [`Column`]: the name and the encoder of a column.

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Kind, Type};

use super::encoder::{Encoder, key};
use super::reader::Malformed;

/// A column of an answer. Its name is escaped once, and its encoder is chosen once by the type.
#[derive(Clone, Debug)]
pub struct Column {
    name: Box<str>,
    type_name: Box<str>,
    key: Box<[u8]>,
    pub(crate) encoder: Encoder,
}

/// The reason why an answer cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Values of this type have no form in JSON. The statement has to convert them.
    #[error("column \"{column}\" is of type {type_name}, which cannot be written as it is: use {advice}")]
    Unsupported {
        /// The column's name.
        column: Box<str>,
        /// The type's name in `pg_type`.
        type_name: Box<str>,
        /// The expression to select instead, for example `"column"::text`.
        advice: Box<str>,
    },
    /// The answer needs a column that the statement does not return.
    #[error("there is no column \"{column}\" among those that the statement returns: {known}")]
    Missing {
        /// The name.
        column: Box<str>,
        /// The columns of the statement.
        known: Box<str>,
    },
    /// A column has not the type that its part in the answer needs.
    #[error("column \"{column}\" is of type {type_name}, and has to be {expected}")]
    Type {
        /// The column's name.
        column: Box<str>,
        /// The type's name in SQL.
        type_name: Box<str>,
        /// The types that it can have.
        expected: &'static str,
    },
    /// Two columns have one name, which a JSON object cannot have.
    #[error("two columns have the name \"{column}\": give one of them another name, as in AS \"{column}_2\"")]
    Repeated {
        /// The name.
        column: Box<str>,
    },
    /// A value does not match its type. It is text in another encoding than UTF-8 (of a database
    /// with `SQL_ASCII`), or bytes in an unknown format of the server.
    #[error("column \"{column}\" holds a value that is not a readable {type_name}")]
    Malformed {
        /// The column's name.
        column: Box<str>,
        /// The type's name in `pg_type`.
        type_name: Box<str>,
    },
    /// A row has other columns than described: the result of the statement has changed since.
    #[error("a row has {found} columns where {expected} were described")]
    Shape {
        /// The number of columns in the description.
        expected: usize,
        /// The number of columns in the row.
        found: usize,
    },
}

/// A value of any type as the server sent it, in its binary format.
#[derive(Clone, Copy, Debug)]
pub struct RawValue<'a>(pub &'a [u8]);

/// Appends a row as one JSON object: `{"id":7,"name":"O\"Hara"}`.
///
/// # Errors
/// A row with other columns, or a value that cannot be read. The partial output is removed.
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
    /// Makes the column `name` with values of type `ty`, which are those of the statement's
    /// description.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if values of this type, or of a type within it, have no form in JSON.
    pub fn new(name: &str, ty: &Type) -> Result<Column, Error> {
        match Encoder::of(ty) {
            Some(encoder) => Ok(Column { name: name.into(), type_name: ty.name().into(), key: key(name), encoder }),
            None => {
                let advice = advice(name, ty).into();
                Err(Error::Unsupported { column: name.into(), type_name: ty.name().into(), advice })
            }
        }
    }

    /// Returns an error if two columns have one name.
    pub(crate) fn distinct(columns: &[Column]) -> Result<(), Error> {
        let mut names: Vec<&str> = columns.iter().map(Column::name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::Repeated { column: pair[0].into() }),
            None => Ok(()),
        }
    }

    /// Makes the columns of a statement.
    ///
    /// # Errors
    /// As [`Column::new`], for the first column that cannot be written.
    pub fn all(columns: &[tokio_postgres::Column]) -> Result<Box<[Column]>, Error> {
        columns.iter().map(|column| Column::new(column.name(), column.type_())).collect()
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn malformed(&self) -> Error {
        Error::Malformed { column: self.name.clone(), type_name: self.type_name.clone() }
    }
}

/// The expression to select instead of a column whose type has no form.
fn advice(name: &str, ty: &Type) -> String {
    let name = format!("\"{}\"", name.replace('"', "\"\""));
    let (element, array) = match ty.kind() {
        Kind::Array(element) => (element, "[]"),
        _ => (ty, ""),
    };
    match element.name() {
        // lc_monetary chooses the number of digits after the point, so an amount with two may be
        // wrong.
        "money" => format!("{name}::numeric{array}"),
        "record" | "_record" => format!("to_json({name})"),
        "box2d" | "box3d" if array.is_empty() => format!("{name}::geometry"),
        "raster" if array.is_empty() => format!("ST_AsPNG({name})"),
        _ if matches!(element.kind(), Kind::Composite(_)) => format!("to_json({name})"),
        _ => format!("{name}::text{array}"),
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
