//! Random values, many in each statement, so that the tests are fast.

use dunlin_pg::param::{Param, bind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::oracle::is_shorter;
use crate::session::Session;

const MANY: usize = 200;

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) })
}

/// Compares the JSON of an array of each batch of values with `to_json`.
fn check<T, S>(cases: u32, ty: &str, strategy: S)
where
    T: tokio_postgres::types::ToSql + Sync + Clone + std::fmt::Debug,
    S: Strategy<Value = T>,
{
    let session = Session::open();
    let oracle =
        session.prepare(&format!("SELECT to_json(v)::text FROM unnest($1::{ty}[]) WITH ORDINALITY t(v, i) ORDER BY i"));
    let mut runner = runner(cases);
    let run = runner.run(&vec(strategy, MANY), |values| {
        let ours = session
            .written(&format!("SELECT v FROM unnest($1::{ty}[]) WITH ORDINALITY t(v, i) ORDER BY i"), &[&values]);
        let oracle = session.query(&oracle, &[&values]).unwrap();
        for ((ours, oracle), value) in ours.iter().zip(&oracle).zip(&values) {
            let expect = format!("{{\"v\":{}}}", oracle.get::<_, String>(0));
            prop_assert!(*ours == expect || is_shorter(ty, ours, &expect), "{:?}: {}, not {}", value, ours, expect);
        }
        Ok(())
    });
    run.unwrap();
}

/// Compares each text that is bound with the server's own cast, errors included.
fn check_texts(cases: u32, ty: &str, strategy: impl Strategy<Value = String>) {
    let session = Session::open();
    let bound = session.prepare(&format!("SELECT ($1::{ty})::text"));
    let cast = session.prepare(&format!("SELECT $1::text::{ty}::text"));
    let mut runner = runner(cases);
    let run = runner.run(&strategy, |text| {
        let expect = session.query(&cast, &[&text]).ok().map(|rows| rows[0].get::<_, Option<String>>(0));
        let found = bind(&bound.params()[0], &Param::from(text.as_str())).ok();
        let found = found.map(|value| session.text(&bound, &value).unwrap());
        prop_assert_eq!(found, expect, "{:?}", text);
        Ok(())
    });
    run.unwrap();
}

#[test]
fn floats() {
    check(20, "float8", any::<u64>().prop_map(f64::from_bits));
    check(20, "float4", any::<u32>().prop_map(f32::from_bits));
    // Common numbers: short decimals, and integers at which the layout changes.
    check(20, "float8", (any::<i32>(), -8i32..12).prop_map(|(n, e)| f64::from(n) * 10f64.powi(-e)));
    check(10, "float8", (-60i32..60).prop_map(|n| 2f64.powi(n)));
}

#[test]
fn texts() {
    check(20, "text", "[^\\x00]{0,40}");
    check(10, "bytea", vec(any::<u8>(), 0..40));
}

#[test]
fn times() {
    let second = 1_000_000i64;
    let micros = prop_oneof![
        -210_866_803_200 * second..9_214_646_400_000 * second,
        (-4_000_000_000i64..4_000_000_000).prop_map(move |s| s * second),
    ];
    check(20, "timestamp", micros.clone().prop_map(Timestamp));
    check(20, "timestamptz", micros.prop_map(Timestamp));
}

#[test]
fn numerics_and_intervals() {
    let session = Session::open();
    let mut runner = runner(30);
    let texts = vec("-?[0-9]{0,30}[0-9](\\.[0-9]{1,30})?(e-?[0-9]{1,2})?", MANY);
    let intervals = vec((any::<i32>(), any::<i32>(), -1_000_000_000_000_000i64..1_000_000_000_000_000), MANY);
    runner
        .run(&(texts, intervals), |(texts, intervals)| {
            agree(&session, "SELECT v::numeric AS v FROM unnest($1::text[]) v", &texts)?;
            let texts: Vec<_> =
                intervals.iter().map(|(m, d, us)| format!("{} months {d} days {us} us", m / 2)).collect();
            agree(&session, "SELECT v::interval AS v FROM unnest($1::text[]) v", &texts)
        })
        .unwrap();
}

fn agree(session: &Session, sql: &str, texts: &Vec<String>) -> Result<(), TestCaseError> {
    let ours = session.written(sql, &[texts]);
    let oracle = session.prepare(&format!("SELECT row_to_json(t)::text FROM ({sql}) t"));
    let oracle: Vec<String> = session.query(&oracle, &[texts]).unwrap().iter().map(|row| row.get(0)).collect();
    prop_assert_eq!(ours, oracle);
    Ok(())
}

#[test]
fn texts_are_bound_as_the_server_casts_them() {
    check_texts(300, "int4", "[ +-]?[0-9]{0,11}[ a.]?");
    check_texts(300, "int8", "[ +-]?[0-9]{0,20}[ a.]?");
    check_texts(300, "bool", "[ ]?([tfynoTF10]|true|false|yes|off|on){1,2}[ ]?");
    check_texts(300, "float8", "[ +-]?[0-9]{0,3}\\.?[0-9]{0,3}([eE][+-]?[0-9]{0,4})?");
    check_texts(300, "float4", "[ +-]?[0-9]{0,3}\\.?[0-9]{0,3}([eE][+-]?[0-9]{0,2})?");
    check_texts(300, "numeric", "[ +-]?[0-9]{0,6}\\.?[0-9]{0,6}([eE][+-]?[0-9]{0,3})?");
    check_texts(300, "uuid", "\\{?([0-9a-fA-F]{4}-?){7}[0-9a-g]{4}\\}?");
    check_texts(300, "bytea", "(\\\\x)?([0-9a-f]{2}| |\\\\\\\\|\\\\[0-3][0-7]{2}|x){0,5}");
    check_texts(200, "text", "[^\\x00]{0,20}");
    check_texts(200, "jsonb", "[\\[\\]{}\":,a1.e-]{0,6}");
}

#[test]
fn moments_are_bound_as_the_server_casts_them() {
    let date = "[0-9]{4}-[01][0-9]-[0-3][0-9]( BC)?";
    let moment = "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,9})?)?(Z|[+-][01][0-9](:?[0-6][0-9])?)?";
    let time = "[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,9})?)?(Z|[+-][01][0-9](:[0-6][0-9])?)?";
    check_texts(400, "date", date);
    check_texts(400, "timestamp", moment);
    check_texts(400, "timestamptz", moment);
    check_texts(300, "time", time);
    check_texts(300, "timetz", time);
}

#[test]
fn no_text_makes_it_panic() {
    let session = Session::open();
    let names = [
        "bool",
        "int8",
        "float8",
        "numeric",
        "bytea",
        "uuid",
        "date",
        "timestamptz",
        "timetz",
        "jsonb",
        "int4[]",
        "text[]",
    ];
    let types: Vec<_> = names.iter().map(|name| session.type_of(name)).collect();
    let mut runner = runner(2000);
    runner
        .run(&"\\PC{0,20}|[0-9TZ:+. -]{0,30}", |text| {
            for ty in &types {
                let _ = bind(ty, &Param::from(text.as_str()));
            }
            Ok(())
        })
        .unwrap();
}

/// Microseconds since 2000-01-01.
#[derive(Clone, Copy, Debug)]
struct Timestamp(i64);

impl tokio_postgres::types::ToSql for Timestamp {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(_: &tokio_postgres::types::Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}
