//! Parameters, as PostgreSQL reads their text.

use dunlin_pg::param::{Error, Json, Param, bind, blamed};
use serde_json::{Value, json};

use crate::session::Session;

/// Binds each text, and compares with the server's own cast.
#[track_caller]
fn check(session: &Session, ty: &str, texts: &[&str]) {
    let bound = session.prepare(&format!("SELECT ($1::{ty})::text"));
    let cast = session.prepare(&format!("SELECT $1::text::{ty}::text"));
    for text in texts {
        let expect: Option<String> =
            session.query(&cast, &[text]).unwrap_or_else(|e| panic!("{text}: {e:?}"))[0].get(0);
        let value = bind(&bound.params()[0], &Param::from(*text)).unwrap_or_else(|e| panic!("{text}: {e}"));
        let found = session.text(&bound, &value).unwrap_or_else(|e| panic!("{ty} {text}: {e:?}"));
        assert_eq!(found, expect, "{ty}: {text}");
    }
}

/// Checks that values are refused, and the reason.
#[track_caller]
fn refused(session: &Session, ty: &str, texts: &[&str], message: &str) {
    let ty = session.type_of(ty);
    for text in texts {
        let error = bind(&ty, &Param::from(*text)).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
    }
}

/// Binds a JSON value, and returns the server's text of it.
#[track_caller]
fn read(session: &Session, ty: &str, value: &Value) -> Result<Option<String>, Error> {
    read_text(session, ty, &value.to_string())
}

/// Binds the text of a JSON value, and returns the server's text of it.
#[track_caller]
fn read_text(session: &Session, ty: &str, value: &str) -> Result<Option<String>, Error> {
    let statement = session.prepare(&format!("SELECT ($1::{ty})::text"));
    let bound = bind(&statement.params()[0], &Param::Json(Json::parse(value).unwrap()))?;
    Ok(session.text(&statement, &bound).unwrap_or_else(|e| panic!("{ty} {value}: {e:?}")))
}

#[test]
fn scalars_from_text() {
    let session = Session::open();
    check(&session, "bool", &["t", "TRUE", "tr", "f", "false", "y", "no", "on", "of", "off", "1", "0", " true "]);
    check(&session, "int2", &["0", "-32768", "+32767", " 7 "]);
    check(&session, "int4", &["-2147483648", "2147483647", "007"]);
    check(&session, "int8", &["-9223372036854775808", "9223372036854775807"]);
    check(&session, "oid", &["0", "4294967295"]);
    check(&session, "float4", &["0.1", "-0", "1e38", "1e-45", "nan", "-inf", "+Infinity", ".5", "5."]);
    check(&session, "float8", &["0.1", "1e308", "5e-324", "NaN", "Infinity", "-infinity", "12345678901234567890"]);
    check(
        &session,
        "numeric",
        &["0.10", "-.5", "5.", "1e3", "1.5E-3", "NaN", "-Infinity", "12345678901234567890.123456789"],
    );
    check(&session, "money", &["12.50", "$1,000"]);
    for ty in ["text", "varchar", "char(5)", "name", "json", "bytea"] {
        check(&session, ty, if ty == "json" { &["{\"a\": [1]}", "null", " 1 "] } else { &["", " a ", "é漢"] });
    }
    check(&session, "jsonb", &["{\"b\":1, \"a\":[1.50]}"]);
    check(&session, "bytea", &["\\x00ff", "\\x 00 ff ", "a\\\\b", "\\000\\377", "é"]);
    check(
        &session,
        "uuid",
        &[
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        ],
    );
    check(
        &session,
        "date",
        &[
            "2026-11-22",
            "2026-1-5",
            "0044-03-15 BC",
            "infinity",
            "-infinity",
            "5874897-12-31",
            "2024-02-29",
            "2026-11-22T10:00:00Z",
        ],
    );
    check(&session, "time", &["10:00", "10:00:00.1234567", "24:00", "23:59:60", "1:02:03", "10:00:00+02"]);
    check(&session, "timetz", &["10:00", "10:00:00.5+02", "10:00-05:30", "10:00:00Z", "10:00+05:30:15"]);
    let moments = [
        "2026-11-22T10:00:00Z",
        "2026-11-22t10:00:00.123456z",
        "2026-11-22 10:00",
        "2026-11-22",
        "2026-11-22 10:00:00+05:30",
        "2026-11-22T10:00:00-0800",
        "2026-11-22T10:00:00 +02",
        "0044-03-15 10:00:00 BC",
        "infinity",
        "-infinity",
        "2026-12-31 23:59:60",
        "2026-12-31 24:00",
        "294276-12-31 23:59:59.999999",
        "4714-11-24 00:00 BC",
        "1999-12-31T23:59:59.9999999Z",
    ];
    check(&session, "timestamp", &moments);
    check(&session, "timestamptz", &moments);
}

#[test]
fn the_rest_is_read_by_postgresql() {
    let session = Session::open();
    check(&session, "interval", &["1 day", "P1Y2M3DT4H5M6S", "-00:00:01"]);
    check(&session, "inet", &["10.0.0.1/8", "::1"]);
    check(&session, "int4range", &["[1,5]", "empty"]);
    check(&session, "tsquery", &["a & b"]);
    check(&session, "point", &["(1,2)"]);
    check(&session, "bit(3)", &["101"]);
    check(&session, "int2vector", &["1 2"]);
    check(&session, "regclass", &["pg_class"]);
    session.run("CREATE TYPE param_pair AS (x int, y text)");
    check(&session, "param_pair", &["(1,a)"]);

    let statement = session.prepare("SELECT $1::int, $2::interval");
    let one = bind(&statement.params()[0], &Param::from("1")).unwrap();
    let bad = bind(&statement.params()[1], &Param::from("no time at all")).unwrap();
    let error = session.query(&statement, &[&one, &bad]).unwrap_err();
    assert_eq!(blamed(&error), Some(1), "{error:?}");
    let error = session.query(&session.prepare("SELECT 1 / $1::int"), &[&0]).unwrap_err();
    assert_eq!(blamed(&error), None);
}

#[test]
fn what_does_not_parse_is_told_by_its_type() {
    let session = Session::open();
    refused(&session, "int8", &["abc", "", " ", "1.5", "1e3", "+", "٣"], "expected bigint");
    refused(&session, "int8", &["9223372036854775808", "-9223372036854775809"], "out of range for bigint");
    refused(&session, "int4", &["2147483648"], "out of range for integer");
    refused(&session, "oid", &["-1", "4294967296"], "out of range for oid");
    refused(&session, "float4", &["1e39", "1e-46"], "out of range for real");
    refused(&session, "float8", &["1e309", "-1e-400", "1e999999999"], "out of range for double precision");
    refused(&session, "float8", &["", "1e", "0,5", "1.2.3"], "expected double precision");
    refused(&session, "numeric", &["", ".", "1e", "--1", "1 2", "0x"], "expected numeric");
    refused(&session, "numeric", &["1e200000", "1e-20000", "1e99999999999"], "out of range for numeric");
    refused(&session, "bool", &["o", "2", "truely", ""], "expected boolean");
    refused(
        &session,
        "uuid",
        &["", "a0eebc99", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g", "{a0eebc999c0b4ef8bb6d6bb9bd380a11"],
        "expected uuid",
    );
    refused(&session, "date", &["", "22/11/2026", "tomorrow", "2026-11", "2026-11-22x"], "expected date");
    refused(&session, "date", &["2026-02-29", "2026-13-01", "0000-01-01", "5874898-01-01"], "out of range for date");
    refused(
        &session,
        "timestamptz",
        &["10:00", "2026-11-22T10", "2026-11-22T10:00:00 02:00"],
        "expected timestamp with time zone",
    );
    refused(
        &session,
        "timestamptz",
        &["2026-11-22T25:00:00Z", "294277-01-01"],
        "out of range for timestamp with time zone",
    );
    refused(&session, "time", &["24:00:01", "23:59:60.1", "10:60"], "out of range for time without time zone");
    refused(&session, "jsonb", &["abc", "", "{a:1}"], "expected jsonb");
    refused(&session, "text", &["a\0b"], "expected text");
    refused(&session, "bytea", &["\\xabc", "\\9", "\\"], "expected bytea");
    refused(&session, "int4[]", &["x"], "expected integer[]");
    session.run("CREATE DOMAIN param_small AS int2");
    refused(&session, "param_small", &["x"], "expected param_small");
}

#[test]
fn arrays_from_texts() {
    let session = Session::open();
    let many = |ty: &str, texts: &[&str]| {
        let statement = session.prepare(&format!("SELECT ($1::{ty})::text"));
        let param = Param::Many(texts.iter().map(|&text| text.to_owned()).collect());
        session.text(&statement, &bind(&statement.params()[0], &param).unwrap()).unwrap().unwrap()
    };
    assert_eq!(many("int8[]", &["1", "2"]), "{1,2}");
    assert_eq!(many("int8[]", &[]), "{}");
    assert_eq!(many("numeric[]", &["1.50", "NaN"]), "{1.50,NaN}");
    assert_eq!(many("text[]", &["a b", "", "NULL", "q\"\\", "{x}"]), r#"{"a b","","NULL","q\"\\","{x}"}"#);
    assert_eq!(many("inet[]", &["10.0.0.1", "::1"]), "{10.0.0.1,::1}");
    assert_eq!(many("box[]", &["(1,2),(3,4)", "(5,6),(7,8)"]), "{(3,4),(1,2);(7,8),(5,6)}");
    assert_eq!(many("int4", &["7"]), "7");
    // One text is one element, unless that is not possible.
    check(&session, "int4[]", &["{1,2}", " {}", "[0:1]={1,2}"]);
    check(&session, "numeric[]", &["{1.5,NULL}"]);
    let one = |ty: &str, text: &str| {
        let statement = session.prepare(&format!("SELECT ($1::{ty})::text"));
        session.text(&statement, &bind(&statement.params()[0], &Param::from(text)).unwrap()).unwrap().unwrap()
    };
    assert_eq!(one("int4[]", "7"), "{7}");
    assert_eq!(one("text[]", "{a,b}"), r#"{"{a,b}"}"#);
    let error = bind(&session.type_of("int4"), &Param::Many(vec!["1".into(), "2".into()])).unwrap_err();
    assert_eq!(error.expected(), "integer");
}

#[test]
fn values_from_json() {
    let session = Session::open();
    let ok = |ty: &str, value: Value, expect: &str| {
        assert_eq!(read(&session, ty, &value).unwrap().as_deref(), Some(expect), "{ty}");
    };
    ok("int4", json!(7), "7");
    ok("int8", json!(i64::MAX), "9223372036854775807");
    ok("int8", json!("9223372036854775807"), "9223372036854775807");
    ok("int4", serde_json::from_str("2.0").unwrap(), "2");
    ok("int4", serde_json::from_str("-1e3").unwrap(), "-1000");
    for (ty, text, expect) in [
        ("numeric", "12345678901234567890.12345678901234567890", "12345678901234567890.12345678901234567890"),
        ("numeric[]", "[1.50, 1e2]", "{1.50,100}"),
        // A json keeps the client's text: order, repeated keys, spaces.
        ("json", r#"{"z": 1,"a":2,"z":3,"e":1e2}"#, r#"{"z": 1,"a":2,"z":3,"e":1e2}"#),
        ("json", " [1.0] ", "[1.0]"),
        ("jsonb", "[1.50, 1e30]", "[1.50, 1000000000000000000000000000000]"),
        ("text", r#""a\u00e9\n""#, "aé\n"),
    ] {
        assert_eq!(read_text(&session, ty, text).unwrap().as_deref(), Some(expect), "{ty} {text}");
    }
    ok("numeric", json!("0.10"), "0.10");
    ok("float8", json!(0.1), "0.1");
    ok("float8", json!("NaN"), "NaN");
    ok("bool", json!(true), "true");
    ok("text", json!("é\""), "é\"");
    ok("timestamptz", json!("2026-11-22T10:00:00.5Z"), "2026-11-22 10:00:00.5+00");
    ok("json", json!({"a": [1, null]}), r#"{"a":[1,null]}"#);
    ok("json", json!("text"), r#""text""#);
    ok("int4[]", json!([1, null, 3]), "{1,NULL,3}");
    ok("int4[]", json!([[1, 2], [3, 4]]), "{{1,2},{3,4}}");
    ok("int4[]", json!([]), "{}");
    ok("numeric[]", json!([[1, 2], [3, null]]), "{{1,2},{3,NULL}}");
    ok("text[]", json!(["a", null, "NULL", ""]), r#"{a,NULL,"NULL",""}"#);
    ok("jsonb[]", json!([{"a": 1}, [1, 2], "x", null]), r#"{"{\"a\": 1}","[1, 2]","\"x\"",NULL}"#);
    assert_eq!(read(&session, "int4", &Value::Null).unwrap(), None);
    assert_eq!(read(&session, "jsonb", &Value::Null).unwrap(), None);

    session.run(
        "CREATE TYPE json_inner AS (x numeric, y text); CREATE TYPE json_outer AS (id int, ins json_inner[], at date)",
    );
    ok("json_inner", json!({"y": "q\"\\,", "x": 1.5}), r#"(1.5,"q""\\,")"#);
    ok("json_inner", json!({"y": ""}), r#"(,"")"#);
    ok("json_inner", json!("(1,a)"), "(1,a)");
    ok("json_outer", json!({"id": 1, "ins": [{"x": 1, "y": "a b"}, null]}), r#"(1,"{""(1,\\""a b\\"")"",NULL}",)"#);
    ok("json_inner[]", json!([{"x": 2}]), r#"{"(2,)"}"#);

    let no = |ty: &str, value: Value, message: &str| {
        assert_eq!(read(&session, ty, &value).unwrap_err().to_string(), message, "{value}");
    };
    no("int4", json!(1.5), "expected integer");
    no("int4", json!(3e9), "out of range for integer");
    no("int4", serde_json::from_str("1e300").unwrap(), "out of range for integer");
    no("int4", json!(true), "expected integer");
    no("int4", json!([1]), "expected integer");
    no("int4", json!({}), "expected integer");
    no("int4", json!("x"), "expected integer");
    no("text", json!(1), "expected text");
    no("text", json!(["a"]), "expected text");
    no("bool", json!("true"), "expected boolean");
    no("bool", json!(1), "expected boolean");
    no("timestamptz", json!(1_700_000_000), "expected timestamp with time zone");
    let large = read_text(&session, "float8", "1e400").unwrap_err();
    assert_eq!(large.to_string(), "out of range for double precision");
    no("int4[]", json!(1), "expected integer[]");
    no("int4[]", json!([[1, 2], [3]]), "expected integer[]");
    no("int4[]", json!([[1], 2]), "expected integer[]");
    no("int4[]", json!([1, [2]]), "expected integer[]");
    no("int4[]", json!([[]]), "expected integer[]");
    no("int4[]", json!(["x"]), "expected integer[]");
    no("numeric[]", json!(["x"]), "expected numeric[]");
    no("json_inner", json!({"z": 1}), "expected json_inner");
    no("json_inner", json!({"x": "y"}), "expected json_inner");
    no("json_inner", json!([1, 2]), "expected json_inner");
}

#[test]
fn null_is_null_for_every_type_and_nothing_is_shown() {
    let session = Session::open();
    let bound = bind(&session.type_of("int4"), &Param::Null).unwrap();
    assert_eq!(bound.as_bytes(), None);
    let bound = bind(&session.type_of("text"), &Param::from("secret")).unwrap();
    assert!(!format!("{bound:?}").contains("secret"));
}
