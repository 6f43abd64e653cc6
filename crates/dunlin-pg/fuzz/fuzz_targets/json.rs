//! Any values of any column type, in the server's binary format, in each format of an answer.
//!
//! Invariants:
//! - The output is UTF-8 and valid JSON, or there is an error. Values of `json` and `jsonb` are
//!   excepted, because they are written as they came.
//! - An error leaves the output as it was before the row.
//! - A row of NDJSON is one line. A row of CSV has the fields of the columns, and no more.
//! - The formats agree about which values are errors.

#![no_main]

use std::sync::LazyLock;

use dunlin_pg::json::{Column, Format};
use dunlin_pg::tokio_postgres::types::{Field, Kind, Type};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

/// A column of each type that has a form in JSON.
static COLUMNS: LazyLock<Vec<(Column, bool)>> = LazyLock::new(|| {
    let own = |name: &str, kind| Type::new(name.to_owned(), 100_000, kind, "public".to_owned());
    let pair = own(
        "pair",
        Kind::Composite(vec![
            Field::new("id".to_owned(), Type::INT4),
            Field::new("a \"name\"".to_owned(), Type::TEXT),
            Field::new("when".to_owned(), Type::TIMESTAMPTZ_ARRAY),
        ]),
    );
    let types = (1..7000).filter_map(Type::from_oid).chain([
        own("hstore", Kind::Simple),
        own("citext", Kind::Simple),
        own("ltree", Kind::Simple),
        own("geometry", Kind::Simple),
        own("vector", Kind::Simple),
        own("halfvec", Kind::Simple),
        own("sparsevec", Kind::Simple),
        own("mood", Kind::Enum(vec!["sad".to_owned()])),
        own("positive", Kind::Domain(Type::NUMERIC)),
        own("pairs", Kind::Array(pair.clone())),
        pair,
    ]);
    let columns = types.filter_map(|ty| Some((Column::new("value", &ty).ok()?, ty.name().contains("json"))));
    columns.collect()
});

/// Writes a row behind other output. Returns the row, or `None` if there is an error.
fn write(format: Format, columns: &[Column], values: &[Option<&[u8]>]) -> Option<Vec<u8>> {
    const BEFORE: &[u8] = b"before";
    let mut out = BEFORE.to_vec();
    let result = format.values(columns, values.iter().copied(), true, &mut out);
    assert!(out.starts_with(BEFORE));
    let row = out.split_off(BEFORE.len());
    if result.is_err() {
        assert!(row.is_empty(), "the output of an error is kept");
        return None;
    }
    Some(row)
}

fuzz_target!(|values: Vec<(u8, Option<&[u8]>)>| {
    let of = |kind: u8| &COLUMNS[usize::from(kind) % COLUMNS.len()];
    let columns: Vec<Column> = values.iter().map(|(kind, _)| of(*kind).0.clone()).collect();
    let is_json = values.iter().any(|(kind, _)| of(*kind).1);
    let values: Vec<Option<&[u8]>> = values.iter().map(|(_, value)| *value).collect();

    let json = write(Format::Json, &columns, &values);
    let ndjson = write(Format::Ndjson, &columns, &values);
    let csv = write(Format::Csv, &columns, &values);
    assert_eq!(json.is_some(), ndjson.is_some());
    let (Some(json), Some(ndjson)) = (json, ndjson) else { return };
    assert_eq!(ndjson.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count(), 1);
    if is_json {
        return;
    }
    let text = std::str::from_utf8(&json).expect("JSON is UTF-8");
    serde_json::from_str::<IgnoredAny>(text).expect("the row is valid JSON");
    assert_eq!(ndjson, [&json, &b"\n"[..]].concat());
    let csv = csv.expect("what has a form in JSON has one in CSV");
    if !columns.is_empty() {
        assert_eq!(fields(&csv), columns.len(), "{:?}", String::from_utf8_lossy(&csv));
    }
});

/// The number of fields of the only record (RFC 4180).
fn fields(record: &[u8]) -> usize {
    let record = record.strip_suffix(b"\r\n").expect("a record ends with CRLF");
    let mut fields = 1;
    let mut is_quoted = false;
    for byte in record {
        match byte {
            // Two quotes within a quoted field end it and begin it again.
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => fields += 1,
            b'\r' | b'\n' => assert!(is_quoted, "a line break ends the record"),
            _ => {}
        }
    }
    assert!(!is_quoted);
    fields
}
