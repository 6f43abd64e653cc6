//! [`Format`]: the format of an answer with rows.

use tokio_postgres::Row;

use super::column::{Column, Error, values, write_object};
use super::csv;

/// The format of an answer with many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// An array of objects (RFC 8259).
    Json,
    /// One object per line (`application/x-ndjson`).
    Ndjson,
    /// A line of names, and a line for each row (RFC 4180). NULL is an empty field, and an empty
    /// text is `""`.
    Csv,
}

// === impl Format ===

impl Format {
    /// The `Content-Type` of the format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// Appends the text before the first row.
    pub fn begin(self, columns: &[Column], out: &mut Vec<u8>) {
        match self {
            Format::Json => out.push(b'['),
            Format::Ndjson => {}
            Format::Csv => csv::header(columns, out),
        }
    }

    /// Appends a row. `first` is `true` for the first row of the answer.
    ///
    /// # Errors
    /// As [`write_row`](super::write_row). The partial output is removed.
    pub fn row(self, columns: &[Column], row: &Row, first: bool, out: &mut Vec<u8>) -> Result<(), Error> {
        self.values(columns, values(columns, row)?, first, out)
    }

    /// Appends a row of raw values in the server's binary format, for rows that do not come from
    /// `tokio_postgres`.
    ///
    /// # Errors
    /// As [`Format::row`].
    pub fn values<'r>(
        self,
        columns: &[Column],
        values: impl IntoIterator<Item = Option<&'r [u8]>>,
        first: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = out.len();
        let values = values.into_iter();
        match self {
            Format::Json => {
                if !first {
                    out.push(b',');
                }
                write_object(out, columns, values).inspect_err(|_| out.truncate(start))
            }
            Format::Ndjson => {
                write_object(out, columns, values)?;
                one_line(&mut out[start..]);
                out.push(b'\n');
                Ok(())
            }
            Format::Csv => csv::line(out, columns, values),
        }
    }

    /// Appends the text after the last row.
    pub fn end(self, out: &mut Vec<u8>) {
        if self == Format::Json {
            out.push(b']');
        }
    }
}

/// A `json` value may have line breaks. They are between its tokens, where a space has the same
/// meaning.
fn one_line(object: &mut [u8]) {
    for byte in object {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}
