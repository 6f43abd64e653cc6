//! Typed rows, statements of the run time, and notifications as a stream.

use dunlin_pg::json::Format;
use dunlin_pg::param::Param;
use dunlin_pg::{Answer, Event, FromRow, Query, Row, Source, tokio_postgres};
use futures_util::StreamExt as _;

use crate::support::{Fixture, config, postgres};

#[derive(Debug, PartialEq)]
struct Bird {
    id: i64,
    name: Option<String>,
}

impl FromRow for Bird {
    fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { id: row.try_get("id")?, name: row.try_get("name")? })
    }
}

#[tokio::test]
async fn rows_become_values() {
    let fixture = Fixture::new(config("t_rows"));
    let pool = fixture.database.pool();
    let sql = "SELECT * FROM (VALUES (1::bigint, 'dunlin'), (2, NULL)) birds (id, name) WHERE id <= $1";
    let birds: Vec<Bird> = pool.query_as(sql, &[&2_i64]).await.unwrap();
    assert_eq!(birds, [Bird { id: 1, name: Some("dunlin".into()) }, Bird { id: 2, name: None }]);
    let pairs: Vec<(i64, Option<String>)> = pool.query_as(sql, &[&1_i64]).await.unwrap();
    assert_eq!(pairs, [(1, Some("dunlin".into()))]);
    assert!(pool.query_as::<(String,)>(sql, &[&1_i64]).await.is_err(), "a bigint is no String");
}

#[tokio::test]
async fn a_statement_may_come_late() {
    let fixture = Fixture::new(config("t_late"));
    let pool = fixture.database.pool();
    for column in ["a", "b"] {
        let sql = format!("SELECT $1::bigint AS {column}, $2::text[] AS texts");
        let params = vec![Source::named("n"), Source::named("texts")];
        let query = fixture.database.declare_late(Query { params, ..Query::new([sql]) }).unwrap();
        let values = [Param::from(7_u64), Param::from(&["x", "y"][..])];
        let answer = pool.run(&query, &values, Format::Json).await.unwrap();
        let Answer::Rows(json) = answer else { panic!("{answer:?}") };
        assert_eq!(json, format!(r#"[{{"{column}":7,"texts":["x","y"]}}]"#));
    }
}

#[tokio::test]
async fn notifications_are_a_stream() {
    let fixture = Fixture::new(config("t_stream"));
    let notices = fixture.database.listen(["t_stream"]).filter_map(async |event| match event {
        Event::Gap => Some(String::new()),
        Event::Notice { payload, .. } => Some(payload),
        _ => None,
    });
    let mut notices = std::pin::pin!(notices);
    assert_eq!(notices.next().await.as_deref(), Some(""));
    postgres().psql("NOTIFY t_stream, 'a'; NOTIFY t_stream, 'b'");
    assert_eq!(notices.next().await.as_deref(), Some("a"));
    assert_eq!(notices.next().await.as_deref(), Some("b"));
}
