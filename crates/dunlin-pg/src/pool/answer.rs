//! [`Answer`]: the result of a query.

use std::pin::pin;

use bytes::Bytes;
use dunlin_http::Body;
use futures_util::StreamExt;
use tokio_postgres::RowStream;

use crate::error::Error;
use crate::json::{Column, Format, write_row};
use crate::query::Rows;

/// The result of a query.
#[derive(Debug)]
pub enum Answer {
    /// One object, or all rows in the chosen format.
    Rows(Bytes),
    /// No row, where the query has [`Rows::One`].
    None,
    /// The last statement has no columns. The number is that of the rows that it changed.
    Changed(u64),
    /// Rows as they arrive. If they break off, the body fails, so that a client sees that some are
    /// missing.
    Stream(Body),
}

/// An answer in memory, which several requests may share.
#[derive(Clone)]
pub(super) enum Collected {
    Rows(Bytes),
    None,
    Changed(u64),
    /// The answer is too large for memory. Each request reads it as a stream.
    TooLarge,
    /// The statement may leave something in its session. Each request needs a dedicated connection.
    NeedsDedicated,
}

// === impl Collected ===

impl From<Collected> for Answer {
    fn from(collected: Collected) -> Self {
        match collected {
            Collected::Rows(bytes) => Self::Rows(bytes),
            Collected::Changed(count) => Self::Changed(count),
            Collected::None | Collected::TooLarge | Collected::NeedsDedicated => Self::None,
        }
    }
}

/// Collects all rows up to the end of the statement, so that an error after the first row is not
/// missed.
///
/// `columns` are those of the statement. Without them, those of the first row are used. An answer
/// without a row is then [`Collected::Changed`], whether the statement has columns or not.
pub(super) async fn collect(
    rows: RowStream,
    columns: Option<&[Column]>,
    want: Rows,
    format: Format,
    limit: usize,
) -> Result<Collected, Error> {
    let mut rows = pin!(rows);
    let mut out = Vec::with_capacity(256);
    let mut described: Option<Box<[Column]>> = None;
    let mut first = true;
    while let Some(row) = rows.next().await {
        let row = row?;
        let columns = match columns {
            Some(columns) => columns,
            None => {
                if described.is_none() {
                    described = Some(Column::all(row.columns())?);
                }
                described.as_deref().unwrap_or_default()
            }
        };
        match want {
            Rows::One if first => write_row(&mut out, columns, &row)?,
            Rows::One => {}
            Rows::Many => {
                if first {
                    format.begin(columns, &mut out);
                }
                format.row(columns, &row, first, &mut out)?;
                if out.len() > limit {
                    return Ok(Collected::TooLarge);
                }
            }
        }
        first = false;
    }
    if first {
        let changed = rows.rows_affected().unwrap_or_default();
        return Ok(empty(columns.unwrap_or_default(), changed, want, format));
    }
    if want == Rows::Many {
        format.end(&mut out);
    }
    Ok(Collected::Rows(out.into()))
}

/// The answer of a statement that returned no row.
pub(super) fn empty(columns: &[Column], changed: u64, want: Rows, format: Format) -> Collected {
    if columns.is_empty() {
        return Collected::Changed(changed);
    }
    match want {
        Rows::One => Collected::None,
        Rows::Many => {
            let mut out = Vec::new();
            format.begin(columns, &mut out);
            format.end(&mut out);
            Collected::Rows(out.into())
        }
    }
}
