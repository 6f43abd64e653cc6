//! [`Answer`]: the result of a query.

use std::pin::pin;

use bytes::Bytes;
use dunlin_http::Body;
use futures_util::StreamExt;
use tokio_postgres::{Row, RowStream};

use super::call::Call;
use crate::error::Error;
use crate::json::{Column, Format, RawValue, write_row};
use crate::query::{MediaTypeSource, Raw, Rows};

/// The result of a query.
#[derive(Debug)]
pub enum Answer {
    /// One object, or all rows in the chosen format.
    Rows(Bytes),
    /// The rows of a page, after which more follow.
    Part(Bytes),
    /// The value of the column of [`Query::raw`](crate::Query::raw).
    Raw {
        /// The value.
        body: Bytes,
        /// The media type in the row.
        media_type: Option<Box<str>>,
    },
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
    Part(Bytes),
    Raw {
        body: Bytes,
        media_type: Option<Box<str>>,
    },
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
            Collected::Part(bytes) => Self::Part(bytes),
            Collected::Raw { body, media_type } => Self::Raw { body, media_type },
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
    call: Call<'_>,
    limit: usize,
) -> Result<Collected, Error> {
    let Call { query, format, page, .. } = call;
    let mut rows = pin!(rows);
    let mut out = Vec::with_capacity(256);
    let mut described: Option<Box<[Column]>> = None;
    let (mut count, mut raw) = (0, None);
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
        match query.rows {
            Rows::One if count > 0 => {}
            Rows::One => match &query.raw {
                None => write_row(&mut out, columns, &row)?,
                Some(form) => raw = Some(raw_of(form, &row)),
            },
            // The row after the page shows that there is one.
            Rows::Many if page.is_some_and(|page| count >= page) => {}
            Rows::Many => {
                if count == 0 {
                    format.begin(columns, &mut out);
                }
                format.row(columns, &row, count == 0, &mut out)?;
                if out.len() > limit {
                    return Ok(Collected::TooLarge);
                }
            }
        }
        count += 1;
    }
    if count == 0 {
        let changed = rows.rows_affected().unwrap_or_default();
        return Ok(empty(columns.unwrap_or_default(), changed, query.rows, format));
    }
    if let Some(raw) = raw {
        return Ok(raw);
    }
    if query.rows == Rows::Many {
        format.end(&mut out);
    }
    let more = page.is_some_and(|page| count > page);
    Ok(if more { Collected::Part(out.into()) } else { Collected::Rows(out.into()) })
}

/// The value of one column. A NULL is no row.
fn raw_of(form: &Raw, row: &Row) -> Collected {
    let value = |name: &str| row.try_get::<_, Option<RawValue<'_>>>(name).ok().flatten();
    let Some(RawValue(body)) = value(&form.body) else { return Collected::None };
    let media_type = match &form.media_type {
        MediaTypeSource::Fixed(_) => None,
        MediaTypeSource::Column(name) => {
            value(name).and_then(|value| std::str::from_utf8(value.0).ok().map(Into::into))
        }
    };
    Collected::Raw { body: Bytes::copy_from_slice(body), media_type }
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
