//! The edge values of every type, byte for byte as `to_json` writes them.

use crate::session::Session;

/// Writes `values`, each a literal of type `ty`, and NULL, and compares with the server's
/// `to_json`.
#[track_caller]
pub(super) fn check(session: &Session, ty: &str, values: &[&str]) {
    let literals: Vec<_> = values.iter().map(|value| format!("$q${value}$q$::{ty}")).collect();
    let literals: Vec<_> = literals.iter().map(String::as_str).collect();
    check_sql(session, ty, &literals);
}

/// Does the same with expressions.
#[track_caller]
pub(crate) fn check_sql(session: &Session, ty: &str, expressions: &[&str]) {
    let mut rows = format!("(0, NULL::{ty})");
    for (i, expression) in expressions.iter().enumerate() {
        rows.push_str(&format!(", ({}, {expression})", i + 1));
    }
    let from = format!("FROM (VALUES {rows}) t(i, v) ORDER BY i");
    let ours = session.written(&format!("SELECT v {from}"), &[]);
    let oracle = session.prepare(&format!("SELECT to_json(v)::text {from}"));
    let oracle = session.query(&oracle, &[]).unwrap();
    assert_eq!(ours.len(), expressions.len() + 1);
    for (i, (ours, oracle)) in ours.iter().zip(&oracle).enumerate() {
        let oracle: Option<String> = oracle.get(0);
        let expect = format!("{{\"v\":{}}}", oracle.as_deref().unwrap_or("null"));
        let of = expressions.get(i.wrapping_sub(1)).unwrap_or(&"NULL");
        assert!(*ours == expect || is_shorter(ty, ours, &expect), "{ty} {of}: {ours}, not {expect}");
    }
}

/// Returns `true` if `ours` is the same float with fewer digits. PostgreSQL uses one digit more if
/// they are exactly between two floats.
pub(crate) fn is_shorter(ty: &str, ours: &str, oracle: &str) -> bool {
    let number = |object: &str| object.trim_start_matches("{\"v\":").trim_end_matches('}').to_owned();
    let (ours, oracle) = (number(ours), number(oracle));
    let same = match ty {
        "float4" => ours.parse::<f32>().is_ok_and(|ours| oracle.parse() == Ok(ours)),
        "float8" => ours.parse::<f64>().is_ok_and(|ours| oracle.parse() == Ok(ours)),
        _ => false,
    };
    same && ours.len() < oracle.len()
}

#[test]
fn numbers() {
    let session = Session::open();
    check(&session, "bool", &["t", "f"]);
    check(&session, "int2", &["0", "-1", "32767", "-32768"]);
    check(&session, "int4", &["0", "-1", "2147483647", "-2147483648"]);
    check(&session, "int8", &["0", "9007199254740993", "9223372036854775807", "-9223372036854775808"]);
    check(&session, "oid", &["0", "4294967295"]);
    check(&session, "xid", &["0", "4294967295"]);
    check(&session, "cid", &["7"]);
    check(&session, "xid8", &["18446744073709551615"]);
    check(
        &session,
        "float4",
        &[
            "0",
            "-0",
            "1",
            "0.1",
            "1e5",
            "123456",
            "999999",
            "1e6",
            "1234567",
            "16777216",
            "1e-4",
            "1e-5",
            "0.00012345",
            "1.17549435e-38",
            "1e-45",
            "3.4028235e38",
            "NaN",
            "Infinity",
            "-Infinity",
        ],
    );
    check(
        &session,
        "float8",
        &[
            "0",
            "-0",
            "1",
            "-1.5",
            "0.1",
            "0.30000000000000004",
            "1e14",
            "999999999999999",
            "1e15",
            "123456789012345678",
            "1e-4",
            "1e-5",
            "0.000012345",
            "2.2250738585072014e-308",
            "5e-324",
            "1.7976931348623157e308",
            "1e23",
            "9007199254740993",
            "9.5e-7",
            "1e22",
            "NaN",
            "Infinity",
            "-Infinity",
        ],
    );
    check(
        &session,
        "numeric",
        &[
            "0",
            "0.0",
            "0.000",
            "-0.00",
            "1",
            "10000",
            "100000000",
            "123456789012345678901234567890",
            "0.1",
            "0.00001",
            "0.00010000",
            "1234.5678",
            "12345.678901",
            "-99999999.99999999",
            "1e100",
            "1e-100",
            "1e1000",
            "0.12345",
            "10000.0001",
            "100010001",
            "NaN",
            "Infinity",
            "-Infinity",
        ],
    );
    check_sql(&session, "numeric", &["1.5::numeric(20,10)", "10::numeric ^ 131071", "1 / 3::numeric(100,90)"]);
}

#[test]
fn texts() {
    let session = Session::open();
    let edges =
        ["", " ", "plain", "quote \" slash \\ / ' $", "é漢🦆", "\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f}\u{7f}\u{2028}"];
    for ty in ["text", "varchar", "char(70)", "name", "xml"] {
        let values: &[&str] =
            if ty == "xml" { &["<a b=\"c\">\\é</a>", "<?xml version=\"1.0\"?><a/>"] } else { &edges };
        check(&session, ty, values);
    }
    check_sql(&session, "\"char\"", &["'a'::\"char\"", "''::\"char\"", "'\"'::\"char\"", "'\\200'::\"char\""]);
    check_sql(&session, "text", &["repeat('0123456789\"', 1000)", "'unknown'"]);
    check(&session, "bytea", &["", "\\x00ff10", "plain", "\\\\"]);
    check(&session, "uuid", &["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]);
    check(&session, "json", &["null", " {\"b\" : 1,\n \"a\":[1.50, 1e400]} ", "\"\\u00e9\""]);
    check(&session, "jsonb", &["null", "{\"b\" : 1, \"a\":[1.50, 1e400]}", "\"\\u00e9\"", "[]"]);
    check(&session, "jsonpath", &["$.\"a\"[*] ? (@ > 1)"]);
    check(&session, "bit(3)", &["101", "000"]);
    check(&session, "varbit", &["", "1", "10101010", "101010101"]);
    check(
        &session,
        "tsvector",
        &["", "a fat cat", "'it''s' 'back\\\\slash' 'sp ace'", "a:1 b:2A,16383B c:3C,4D", "\"quote\""],
    );
    check(
        &session,
        "tsquery",
        &[
            "",
            "fat",
            "fat & rat",
            "fat & (rat | cat)",
            "!fat & !(a | b)",
            "fat <-> rat",
            "a <3> (b <-> c)",
            "(a <-> b) <2> c",
            "a:*",
            "a:AB & b:*CD",
            "!!a",
            "'it''s' & 'back\\\\slash'",
            "a | b & c | !d",
            "(a|b) <-> (c&d)",
        ],
    );
}

#[test]
fn times() {
    let session = Session::open();
    let dates = [
        "2000-01-01",
        "1999-12-31",
        "1970-01-01",
        "2024-02-29",
        "0001-01-01",
        "0001-12-31 BC",
        "0044-03-15 BC",
        "4714-11-24 BC",
        "9999-12-31",
        "10000-01-01",
        "5874897-12-31",
        "infinity",
        "-infinity",
    ];
    check(&session, "date", &dates);
    let moments = [
        "2026-11-22 10:00:00.123456",
        "2026-11-22 10:00",
        "1999-12-31 23:59:59.999999",
        "2000-01-01",
        "1883-11-18 12:00",
        "2026-01-01 00:00:00.1",
        "2026-01-01 00:00:00.000001",
        "0044-03-15 12:30:45.5 BC",
        "4714-11-24 00:00:00 BC",
        "294276-12-31 23:59:59.999999",
        "infinity",
        "-infinity",
    ];
    check(&session, "timestamp", &moments);
    check(&session, "timestamptz", &moments);
    check(&session, "timestamptz", &["2026-11-22 10:00:00+05:30", "2026-06-22 10:00:00 Europe/Berlin"]);
    check(&session, "time", &["00:00", "10:00:00.5", "23:59:59.999999", "24:00"]);
    check(&session, "timetz", &["00:00Z", "10:00:00.5+02", "23:59:59.999999-05:30", "24:00-15:59", "10:00+05:30:15"]);
    check(
        &session,
        "interval",
        &[
            "0",
            "1 year 2 months 3 days 4 hours 5 minutes 6.7 seconds",
            "-1 year",
            "1 year -1 day",
            "-00:00:00.000001",
            "1 day -01:30:05.25",
            "-1 mons +25 hours",
            "13 months",
            "-13 months",
            "178000000 years",
            "2562047788:00:54.775807",
            "-2147483648 days",
            "00:00:59.999999",
            "00:01",
            "P1Y2M3DT4H5M6.789S",
        ],
    );
}

#[test]
fn networks_and_shapes() {
    let session = Session::open();
    let v6 = [
        "::",
        "::1",
        "::1.2.3.4",
        "::ffff:1.2.3.4",
        "::ffff:0:0",
        "2001:db8::1",
        "2001:db8:0:1::",
        "1:0:0:2:0:0:0:3",
        "1::2:0:0:3",
        "1:2:3:4:5:6:7:8",
        "1:2:3:0:5:6:7:8",
        "::2:3:4:5:6:7:8",
        "1:2:3:4:5:6::",
        "0:0:0:0:0:0:1:0",
        "::ffff:ffff:1.2.3.4",
        "fe80::/10",
        "abcd:ef01:2345:6789:abcd:ef01:2345:6789/64",
    ];
    check(&session, "inet", &["0.0.0.0", "192.168.0.1", "192.168.0.1/24", "10.0.0.0/8", "255.255.255.255/0"]);
    check(&session, "inet", &v6);
    check(
        &session,
        "cidr",
        &["0.0.0.0/0", "192.168.0.1/32", "10.0.0.0/8", "::/0", "::1/128", "2001:db8::/32", "::ffff:1.2.3.0/120"],
    );
    check(&session, "macaddr", &["08:00:2b:01:02:03"]);
    check(&session, "macaddr8", &["08:00:2b:01:02:03:04:05"]);
    check(&session, "point", &["(0,0)", "(1.5,-2)", "(NaN,Infinity)", "(1e300,1e-300)"]);
    check(&session, "lseg", &["[(1,2),(3,4)]"]);
    check(&session, "box", &["(1,2),(3,4)"]);
    check(&session, "path", &["((1,2),(3,4))", "[(1,2),(3,4),(5,6)]", "[(0,0)]"]);
    check(&session, "polygon", &["((1,2),(3,4),(5,6))", "((0,0))"]);
    check(&session, "line", &["{1,-1,0}"]);
    check(&session, "circle", &["<(1,2),3.5>"]);
    check(&session, "pg_lsn", &["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"]);
    check(&session, "tid", &["(0,1)", "(4294967295,65535)"]);
    check(&session, "pg_snapshot", &["10:20:10,14,15", "10:20:"]);
    check(&session, "txid_snapshot", &["10:20:10,14,15"]);
    check(&session, "refcursor", &["a cursor"]);
}

#[test]
fn arrays() {
    let session = Session::open();
    check(
        &session,
        "int4[]",
        &["{}", "{1}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={5,6}", "[-1:0][2:3]={{1,2},{3,4}}"],
    );
    check(&session, "int4[]", &["{{{1},{2}},{{3},{4}}}", "{{{{{{1}}}}}}"]);
    check(&session, "text[]", &["{}", "{\"\",NULL,\"NULL\",\"a\\\"b\",\"c\\\\d\",é}"]);
    check(&session, "float8[]", &["{NaN,1,Infinity,NULL}"]);
    check(&session, "numeric[]", &["{NaN,1.50,-0.0001}"]);
    check(&session, "jsonb[]", &["{\"{\\\"a\\\": 1}\",null,NULL}"]);
    check(&session, "timestamptz[]", &["{2026-11-22 10:00:00+00,infinity}"]);
    check(&session, "box[]", &["{(1,2),(3,4);(5,6),(7,8)}"]);
    check(&session, "bytea[]", &["{\"\\\\\\\\x00\"}"]);
    check(&session, "int2vector", &["1 2 3", ""]);
    check(&session, "oidvector", &["1 2 3"]);
    check(&session, "int4range[]", &["{\"[1,3)\",empty}"]);
}

#[test]
fn ranges() {
    let session = Session::open();
    check(&session, "int4range", &["empty", "[1,10)", "(,5)", "[5,)", "(,)"]);
    check(&session, "int8range", &["[1,10]"]);
    check(&session, "numrange", &["[1.50,2.5]", "(-Infinity,NaN)", "(1,)"]);
    check(&session, "daterange", &["[2026-01-01,2026-02-01)", "[-infinity,infinity]", "(,0044-03-15 BC]"]);
    check(&session, "tsrange", &["[2026-01-01 10:00,2026-02-01 00:00:00.5)", "(,infinity)"]);
    check(&session, "tstzrange", &["[2026-01-01 10:00,2026-02-01 00:00:00.5)", "[0044-03-15 10:00 BC,)"]);
    check(&session, "int4multirange", &["{}", "{[1,3),[5,7)}", "{(,)}"]);
    check(&session, "tstzmultirange", &["{[2026-01-01,2026-01-02),[2026-02-01,)}"]);
    session.run("CREATE TYPE textrange AS RANGE (subtype = text)");
    check(&session, "textrange", &["[a,b)", "[\"\",\"a b\")", "[\"q\"\"\\\\\",\"z,]\"]", "[é,)", "(\"\u{b}\",)"]);
    session.run("CREATE TYPE floatrange AS RANGE (subtype = float8)");
    check(&session, "floatrange", &["[1,1.5)", "[1e20,Infinity)"]);
}

#[test]
fn types_that_a_database_defines() {
    let session = Session::open();
    session.run(
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very \"happy\"', 'é');
         CREATE DOMAIN positive AS int CHECK (value > 0);
         CREATE DOMAIN tags AS text[];
         CREATE TYPE inner_pair AS (x int, \"the \"\"y\" text);
         CREATE TYPE outer_pair AS (id positive, moods mood[], pair inner_pair, pairs inner_pair[], at timestamptz, t tags);
         CREATE DOMAIN pair_domain AS inner_pair;
         CREATE TABLE dropped (a int, b int, c text); ALTER TABLE dropped DROP COLUMN b;",
    );
    check(&session, "mood", &["sad", "very \"happy\"", "é"]);
    check(&session, "mood[]", &["{sad,NULL,é}"]);
    check(&session, "positive", &["1"]);
    check(&session, "positive[]", &["{1,2}"]);
    check(&session, "tags", &["{a,b}"]);
    check(&session, "inner_pair", &["(1,a)", "(,)", "(1,\"q\"\"\\\\ b\")"]);
    check(&session, "pair_domain", &["(1,a)"]);
    check(&session, "inner_pair[]", &["{\"(1,a)\",\"(,)\",NULL}"]);
    check(
        &session,
        "outer_pair",
        &["(1,\"{ok,sad}\",\"(2,b)\",\"{\"\"(3,c)\"\"}\",\"2026-11-22 10:00+00\",\"{x}\")", "(,,,,,)"],
    );
    check(&session, "dropped", &["(1,b)"]);
}

#[test]
fn rows_whole() {
    let session = Session::open();
    let sql = "SELECT i AS id, 'n\"' || i AS \"the \"\"name\", NULL::int AS nothing, ARRAY[i, i] AS two FROM generate_series(1, 3) i";
    let ours = session.written(sql, &[]);
    let oracle = session.prepare(&format!("SELECT row_to_json(t)::text FROM ({sql}) t"));
    let oracle: Vec<String> = session.query(&oracle, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(ours, oracle);
    assert_eq!(session.written("SELECT pg_notify('a', 'b') AS v", &[]), [r#"{"v":""}"#]);
    assert_eq!(session.written("SELECT FROM generate_series(1, 2)", &[]), ["{}", "{}"]);
}
