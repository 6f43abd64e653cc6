//! Every built-in type, from the server's catalogue. It is written as `to_json` writes it, alone
//! and in an array, a domain and a composite. Or it is refused, and the advice helps.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_pg::json::Column;

use crate::oracle::check_sql;
use crate::session::Session;

/// Values of each type with a form in JSON.
const WRITTEN: &[(&str, &[&str])] = &[
    ("bit", &["101", "1"]),
    ("bool", &["t", "f"]),
    ("box", &["(1,2),(3.5,4)"]),
    ("bpchar", &["a", "a \"b\" "]),
    ("bytea", &["\\x00ff41", ""]),
    ("char", &["a", "\""]),
    ("cid", &["7"]),
    ("cidr", &["10.1.0.0/16", "2001:db8::/32"]),
    ("circle", &["<(1,2),3>"]),
    ("date", &["2024-02-29", "0044-03-15 BC", "infinity"]),
    ("float4", &["1.5", "NaN"]),
    ("float8", &["0.1", "-Infinity"]),
    ("inet", &["10.1.2.3", "::1/64"]),
    ("int2", &["-32768"]),
    ("int2vector", &["1 2 3", ""]),
    ("int4", &["2147483647"]),
    ("int8", &["-9223372036854775808"]),
    ("interval", &["1 year 2 days 03:04:05.6", "-1 mon"]),
    ("json", &["{\"a\": [1,  null]}", "1"]),
    ("jsonb", &["{\"a\": [1,  null]}", "\"é\""]),
    ("jsonpath", &["$.a[*] ? (@ > 1)"]),
    ("line", &["{1,2,3}"]),
    ("lseg", &["[(1,2),(3,4)]"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("name", &["n\"n"]),
    ("numeric", &["123456789012345678901234567890.123", "NaN"]),
    ("oid", &["4294967295"]),
    ("oidvector", &["1 4294967295"]),
    ("path", &["[(1,2),(3,4)]", "((1,2),(3,4))"]),
    ("pg_lsn", &["16/B374D848"]),
    ("pg_snapshot", &["10:20:10,14"]),
    ("point", &["(1,-2.5)"]),
    ("polygon", &["((0,0),(1,1),(2,0))"]),
    ("refcursor", &["a cursor"]),
    ("text", &["", "é \" \\ \n"]),
    ("tid", &["(1,2)"]),
    ("time", &["23:59:59.999999", "24:00"]),
    ("timestamp", &["2024-02-29 12:34:56.789", "-infinity"]),
    ("timestamptz", &["2024-02-29 12:34:56.789+02", "infinity"]),
    ("timetz", &["12:34:56.7+05:30"]),
    ("tsquery", &["a & !(b | 'c d':*)"]),
    ("tsvector", &["a:1A 'b c':2,3"]),
    ("txid_snapshot", &["10:20:10,14"]),
    ("uuid", &["6ba7b810-9dad-11d1-80b4-00c04fd430c8"]),
    ("varbit", &["10110", ""]),
    ("varchar", &["v"]),
    ("xid", &["7"]),
    ("xid8", &["18446744073709551615"]),
    ("xml", &["<a b=\"c\"/>"]),
    // Ranges and multiranges.
    ("daterange", &["[2024-01-01,2024-02-01)", "empty", "(,)"]),
    ("int4range", &["[1,5]"]),
    ("int8range", &["(,5]"]),
    ("numrange", &["(1.5,2.50]"]),
    ("tsrange", &["[2024-01-01 01:02:03,infinity)"]),
    ("tstzrange", &["[2024-01-01 01:02:03+01,)"]),
    ("datemultirange", &["{[2024-01-01,2024-02-01),[2025-01-01,)}"]),
    ("int4multirange", &["{[1,5),[7,9)}", "{}"]),
    ("int8multirange", &["{(,5]}"]),
    ("nummultirange", &["{(1.5,2.50]}"]),
    ("tsmultirange", &["{[2024-01-01 01:02:03,infinity)}"]),
    ("tstzmultirange", &["{[2024-01-01 01:02:03+01,)}"]),
];

/// The types that are refused. Their bytes name things by number, or the server does not send them
/// in binary, or they depend on `lc_monetary`.
const REFUSED: &[&str] = &[
    "aclitem",
    "gtsvector",
    "money",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
];

/// All scalar, range and multirange types of the server.
fn catalogue(session: &Session) -> BTreeSet<String> {
    let sql = "SELECT typname::text FROM pg_type WHERE typtype IN ('b', 'r', 'm') AND typnamespace = 'pg_catalog'::regnamespace
               AND NOT (typcategory = 'A' AND typname LIKE '\\_%')";
    session.query(&session.prepare(sql), &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn every_type_of_the_catalogue_is_written_or_refused() {
    let session = Session::open();
    let mut written: BTreeMap<&str, &[&str]> = WRITTEN.iter().copied().collect();
    let mut known: BTreeSet<String> =
        WRITTEN.iter().map(|(name, _)| *name).chain(REFUSED.iter().copied()).map(str::to_owned).collect();
    // It has no literals, and there are no types made of it.
    known.insert("pg_node_tree".into());
    check(&session, "pg_node_tree", &["(SELECT ev_action FROM pg_rewrite ORDER BY oid LIMIT 1)".to_owned()]);
    // Other versions of the server have more types or fewer.
    let missed: Vec<_> = catalogue(&session).difference(&known).cloned().collect();
    assert!(missed.is_empty(), "types without a decision: {missed:?}");
    let there = catalogue(&session);
    written.retain(|name, _| there.contains(*name));
    for (i, (name, values)) in written.into_iter().enumerate() {
        let ty = format!("pg_catalog.\"{name}\"");
        let literals: Vec<String> = values.iter().map(|value| format!("$q${value}$q$::{ty}")).collect();
        check(&session, &ty, &literals);
        let array = format!("ARRAY[{}]::{ty}[]", [&literals[..], &["NULL".into()]].concat().join(","));
        check(&session, &format!("{ty}[]"), &[array.clone(), format!("'{{}}'::{ty}[]")]);
        session.run(&format!("CREATE TYPE pg_temp.c_{i} AS (\"the value\" {ty}, all_of_it {ty}[])"));
        let composite = format!("ROW({}, {array})::pg_temp.c_{i}", literals[0]);
        check(&session, &format!("pg_temp.c_{i}"), &[composite.clone(), format!("ROW(NULL, NULL)::pg_temp.c_{i}")]);
        check(&session, &format!("pg_temp.c_{i}[]"), &[format!("ARRAY[{composite}, NULL]")]);
        session.run(&format!("CREATE DOMAIN pg_temp.d_{i} AS {ty}"));
        let domains: Vec<String> = literals.iter().map(|literal| format!("{literal}::pg_temp.d_{i}")).collect();
        check(&session, &format!("pg_temp.d_{i}"), &domains);
    }
}

#[track_caller]
fn check(session: &Session, ty: &str, expressions: &[String]) {
    let expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
    check_sql(session, ty, &expressions);
}

#[test]
fn what_is_refused_is_written_as_text() {
    let session = Session::open();
    let there = catalogue(&session);
    for name in REFUSED.iter().filter(|name| there.contains(**name)) {
        let statement = session.prepare(&format!("SELECT NULL::pg_catalog.{name} AS v"));
        let refused = Column::all(statement.columns()).unwrap_err().to_string();
        let cast = if *name == "money" { "numeric" } else { "text" };
        assert!(refused.contains(name) && refused.contains(&format!("\"v\"::{cast}")), "{refused}");
        session.prepare(&format!("SELECT NULL::pg_catalog.{name}::text AS v"));
    }
    let names = session.written(
        "SELECT 'pg_class'::regclass::text AS class, 'int4'::regtype::text AS type, 'now()'::regprocedure::text AS function",
        &[],
    );
    assert_eq!(names, [r#"{"class":"pg_class","type":"integer","function":"now()"}"#]);
}

/// The names and types of a record's fields are unknown before a row comes.
#[test]
fn records_are_refused_with_advice() {
    let session = Session::open();
    session.run("CREATE TYPE fare AS (cost money)");
    for (sql, advice) in [
        ("SELECT ROW(1, 'a'::text) AS v", "to_json(\"v\")"),
        ("SELECT t AS v FROM (SELECT 1 AS a) t", "to_json(\"v\")"),
        ("SELECT ARRAY[ROW(1, 'a'::text)] AS v", "to_json(\"v\")"),
        ("SELECT NULL::fare AS v", "to_json(\"v\")"),
        ("SELECT NULL::money[] AS \"a \"\"b\"", "\"a \"\"b\"::numeric[]"),
    ] {
        let refused = Column::all(session.prepare(sql).columns()).unwrap_err().to_string();
        assert!(refused.ends_with(&format!("use {advice}")), "{refused}");
    }
}
