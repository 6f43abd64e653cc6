//! Rows straight to JSON: from the server's binary values to the bytes of a body, with nothing in
//! between.
//!
//! What is written is what PostgreSQL's own `to_json` writes, byte for byte: numbers and booleans
//! as themselves, `json` and `jsonb` untouched, arrays as arrays, composites as objects, everything
//! else as a string of its text form. Times are those of a session whose `TimeZone` is `UTC`,
//! intervals those of `IntervalStyle` `iso_8601` (`P1Y2M3DT4H5M6S`). `NaN` and the infinities are strings, for JSON has no numbers for them. One thing differs:
//! of floats this takes the shortest digits that read back, where PostgreSQL takes one digit more
//! when they stand right between two floats (`1e+23`, not `9.999999999999999e+22`).
//!
//! How a column is written is chosen once, when its statement is described ([`Column::new`]); a row
//! then costs no allocation of its own. A type that has no form here is an error at that time,
//! which says what to select instead: nothing is guessed from bytes of unknown meaning. Two such
//! types are `money`, whose amount depends on `lc_monetary`, and `record`, whose fields have no
//! names. Extension types that are known are `citext`, `ltree`, `lquery`, `ltxtquery` and `hstore`.
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
mod network;
mod number;
mod quote;
mod reader;
mod scalar;
mod search;
mod time;

pub use self::column::{Column, Error, RawValue, write_row};
pub use self::format::Format;
pub(crate) use self::time::days_of;
