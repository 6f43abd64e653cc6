//! Descriptions and formats.

use dunlin_pg::json::{Column, Error, Format};

use crate::session::Session;

#[test]
fn every_built_in_type_is_written_or_refused_when_described() {
    let session = Session::open();
    let types = session.prepare(
        "SELECT format_type(oid, NULL) FROM pg_type
         WHERE typtype IN ('b', 'r', 'm', 'd', 'e') AND typnamespace = 'pg_catalog'::regnamespace AND typsend <> 0 ORDER BY oid",
    );
    let mut refused = Vec::new();
    for row in session.query(&types, &[]).unwrap() {
        let name: String = row.get(0);
        let statement = session.prepare(&format!("SELECT NULL::{name} AS v"));
        match Column::new("v", statement.columns()[0].type_()) {
            Ok(_) => {}
            Err(Error::Unsupported { .. }) if name.ends_with("[]") => {}
            Err(error) => refused.push(error.to_string().split(' ').nth(5).unwrap().trim_end_matches(',').to_owned()),
        }
    }
    // Types whose values are numbers of things in the catalogue, internal types, and amounts.
    refused.retain(|name| !name.starts_with("reg") && !name.starts_with("pg_") && name != "money");
    assert!(refused.is_empty(), "{refused:?}");
    let statement = session.prepare("SELECT 'pg_class'::regclass AS \"the table\"");
    assert_eq!(
        Column::all(statement.columns()).unwrap_err().to_string(),
        "column \"the table\" is of type regclass, which cannot be written as it is: use \"the table\"::text"
    );
}

#[test]
fn csv_and_ndjson() {
    let session = Session::open();
    let sql = "SELECT * FROM (VALUES
        (1, 'plain', true, 1.50, '2026-11-22 10:00'::timestamptz, '{1,2}'::int[], '{\"a\":\n1}'::json, '[1,2)'::int4range),
        (2, 'a,\"b\"\r\nc', NULL, 'NaN', NULL, NULL, NULL, NULL), (3, '', NULL, NULL, NULL, NULL, NULL, NULL),
        (4, ' blank', false, 0, NULL, NULL, NULL, NULL)) t(id, \"the, text\", b, n, at, array_of, j, r)";
    let statement = session.prepare(sql);
    let columns = Column::all(statement.columns()).unwrap();
    let rows = session.query(&statement, &[]).unwrap();
    let write = |format: Format| {
        let mut out = Vec::new();
        format.begin(&columns, &mut out);
        for (i, row) in rows.iter().enumerate() {
            format.row(&columns, row, i == 0, &mut out).unwrap();
        }
        format.end(&mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        write(Format::Csv),
        "id,\"the, text\",b,n,at,array_of,j,r\r\n\
         1,plain,true,1.50,2026-11-22T10:00:00+00:00,\"[1,2]\",\"{\"\"a\"\":\n1}\",\"[1,2)\"\r\n\
         2,\"a,\"\"b\"\"\r\nc\",,NaN,,,,\r\n3,\"\",,,,,,\r\n4,\" blank\",false,0,,,,\r\n"
    );
    let lines = write(Format::Ndjson);
    let lines: Vec<_> = lines.split_terminator('\n').collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].contains(r#""j":{"a": 1},"r":"[1,2)"}"#), "{}", lines[0]);
    let objects: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&write(Format::Json)).unwrap(), objects);
}

#[test]
fn a_row_of_another_shape_is_refused() {
    let session = Session::open();
    let columns = Column::all(session.prepare("SELECT 1 AS a").columns()).unwrap();
    let rows = session.query(&session.prepare("SELECT 1 AS a, 2 AS b"), &[]).unwrap();
    let mut out = b"kept".to_vec();
    let error = dunlin_pg::json::write_row(&mut out, &columns, &rows[0]).unwrap_err();
    assert_eq!(error, Error::Shape { expected: 1, found: 2 });
    let rows = session.query(&session.prepare("SELECT 'longer' AS a"), &[]).unwrap();
    let error = Format::Json.row(&columns, &rows[0], false, &mut out).unwrap_err();
    assert_eq!(error.to_string(), "column \"a\" holds a value that is not a readable int4");
    assert_eq!(out, b"kept");
}
