//! Rows to JSON, from the server's binary values to the bytes of a body, without a value between.
//!
//! The output is that of PostgreSQL's own `to_json`, byte for byte. Numbers and booleans are
//! themselves, `json` and `jsonb` are unchanged, arrays are arrays, composites are objects, and any
//! other value is a string of its text form. Times are those of a session with the `TimeZone`
//! `UTC`, and intervals those of the `IntervalStyle` `iso_8601` (`P1Y2M3DT4H5M6S`). `NaN` and the
//! infinities are strings, because JSON has no numbers for them. One thing differs: a float has the
//! shortest digits that read back. PostgreSQL uses one digit more if they are exactly between two
//! floats (`9.999999999999999e+22`, not `1e+23`).
//!
//! The encoder of a column is chosen once, when its statement is described ([`Column::new`]). A row
//! costs no allocation of its own. A type without a form is an error at that time, which says what
//! to select instead. Two such types are `money`, whose amount depends on `lc_monetary`, and
//! `record`, whose fields have no names. The known extension types are `citext`, `ltree`, `lquery`,
//! `ltxtquery` and `hstore`, PostGIS's `geometry` and `geography` as GeoJSON, and pgvector's
//! `vector` and `halfvec` as arrays and `sparsevec` as its text.
//!
//! ```
//! use dunlin_pg::json::{Column, Format};
//! use tokio_postgres::types::Type;
//!
//! let columns = [Column::new("id", &Type::INT8)?, Column::new("name", &Type::TEXT)?];
//! let mut out = Vec::new();
//! let raw: [Option<&[u8]>; 2] = [Some(&[0, 0, 0, 0, 0, 0, 0, 7]), Some(b"O\"Hara")];
//! Format::Json.begin(&columns, &mut out);
//! Format::Json.values(&columns, raw, true, &mut out)?;
//! Format::Json.end(&mut out);
//! assert_eq!(out, br#"[{"id":7,"name":"O\"Hara"}]"#);
//! # Ok::<(), dunlin_pg::json::Error>(())
//! ```

mod column;
mod container;
mod csv;
mod encoder;
mod format;
mod geometric;
mod geometry;
mod network;
mod number;
mod quote;
mod reader;
mod scalar;
mod schema;
mod search;
mod time;
mod vector;

pub use self::column::{Column, Error, RawValue, write_row};
pub use self::format::Format;
pub use self::schema::{nullable, schema};
pub(crate) use self::time::days_of;
