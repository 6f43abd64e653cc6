//! Streams: in parts, cut off by an error, and cancelled if the client is gone.

use std::time::Duration;

use dunlin_http::Body;
use dunlin_pg::{Access, Config, Isolation, Query, QueryService};
use futures_util::StreamExt;
use http::StatusCode;
use http_body_util::BodyStream;
use tower::ServiceExt;

use crate::support::{Fixture, active, ask, config, eventually, get, named, postgres, text};

/// The chunks of the body as they arrive.
async fn chunks(service: &QueryService) -> impl StreamExt<Item = Result<usize, dunlin_http::BoxError>> + Unpin {
    let response = service.clone().oneshot(get("/", &[])).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key("etag"), "what streams is not known beforehand");
    let frames: BodyStream<Body> = BodyStream::new(response.into_body());
    frames.map(|frame| frame.map(|frame| frame.data_ref().map_or(0, bytes::Bytes::len)))
}

const MANY: &str = "SELECT g AS id, repeat('x', 20) AS name FROM generate_series(1, 100000) g";

/// Reads the rows of [`MANY`] part by part.
pub(crate) async fn many_parts(service: &QueryService) {
    let mut chunks = chunks(service).await;
    let (mut count, mut total) = (0, 0);
    while let Some(chunk) = chunks.next().await {
        let size = chunk.unwrap();
        assert!(size < 128 * 1024, "{size}");
        (count, total) = (count + 1, total + size);
    }
    assert!(count > 30, "{count}");
    assert_eq!(total, 4_288_896);
}

/// Queries for lists of [`MANY`] rows, each on another path.
pub(crate) fn many() -> [Query; 3] {
    let set = "SELECT set_config('dunlin.length', '20', true)";
    let as_set = MANY.replace("20", "current_setting('dunlin.length')::int");
    [
        Query::new([MANY]),
        Query { isolation: Some(Isolation::RepeatableRead), ..Query::new([MANY]) },
        Query::new([set, &as_set]),
    ]
}

#[tokio::test]
async fn many_rows_come_in_parts_of_bounded_size() {
    let fixture = Fixture::new(config("t_many"));
    for many in many().map(|query| fixture.service(query)) {
        // The first list is found to be too large for memory. The second is a stream at once.
        for _ in 0..2 {
            many_parts(&many).await;
        }
        let response = ask(&many, get("/", &[])).await;
        let rows: Vec<serde_json::Value> = serde_json::from_str(text(&response)).unwrap();
        assert_eq!(rows.len(), 100_000);
        assert_eq!(rows[99_999]["id"], 100_000);
        eventually("the connection is free again", async || fixture.database.stats().busy == 0).await;
    }
}

#[tokio::test]
async fn the_first_bytes_come_before_the_last_row_and_a_lost_client_ends_it() {
    let fixture = Fixture::new(Config { statement_timeout: Duration::from_secs(60), ..config("t_first") });
    let slow = fixture.service(Query::new([
        "SELECT g, CASE WHEN g = 20000 THEN pg_sleep(50)::text END AS t FROM generate_series(1, 20000) g",
    ]));
    let mut chunks = chunks(&slow).await;
    assert!(chunks.next().await.unwrap().unwrap() > 0);
    drop(chunks);
    eventually("nothing runs there any more", async || active(postgres(), "t_first") == 0).await;
    eventually("the budget is whole again", async || fixture.database.stats().busy == 0).await;
}

#[tokio::test]
async fn an_error_after_the_first_byte_cuts_the_answer() {
    let fixture = Fixture::new(config("t_cut"));
    let bad = fixture.service(Query::new(["SELECT g, 1 / (50000 - g) AS n FROM generate_series(1, 100000) g"]));
    let mut chunks = chunks(&bad).await;
    let mut last = chunks.next().await.unwrap();
    while let Some(chunk) = chunks.next().await {
        last = chunk;
    }
    assert!(last.is_err(), "the last word is that it broke off");
    let early = fixture.service(Query::new(["SELECT 1 / (g - 1) AS n FROM generate_series(1, 100000) g"]));
    assert_eq!(ask(&early, get("/", &[])).await.status(), 500, "before the first byte it is a status");
}

#[tokio::test]
async fn a_refused_parameter_costs_no_connection() {
    let fixture = Fixture::new(config("t_refused"));
    let many = fixture.service(Query {
        params: named(&["n"]),
        ..Query::new(["SELECT pg_backend_pid() AS pid, repeat('x', 100) AS x FROM generate_series(1, $1::int) g"])
    });
    let pid = async || text(&ask(&many, get("/?n=5000", &[])).await)[..20].to_owned();
    pid().await;
    let before = pid().await;
    assert_eq!(ask(&many, get("/?n=x", &[])).await.status(), 400);
    assert_eq!(pid().await, before);
    assert_eq!(fixture.database.stats().cancelled, 0);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_limited_by_the_idle_timeout() {
    let idle = Duration::from_millis(500);
    let fixture = Fixture::new(Config { idle_transaction_timeout: idle, ..config("t_idle") });
    let many = fixture.service(Query::new(["SELECT repeat('x', 1000) AS x FROM generate_series(1, 100000) g"]));
    let mut chunks = chunks(&many).await;
    chunks.next().await.unwrap().unwrap();
    eventually("its connection is given up", async || fixture.database.stats().busy == 0).await;
    let mut last = chunks.next().await.unwrap();
    while let Some(chunk) = chunks.next().await {
        last = chunk;
    }
    assert!(last.is_err());
}

#[tokio::test]
async fn a_write_with_a_too_large_answer_fails_and_is_rolled_back() {
    postgres().psql("CREATE TABLE t_much (n int)");
    let fixture = Fixture::new(config("t_much"));
    let much = "INSERT INTO t_much SELECT g FROM generate_series(1, 400) g RETURNING n, repeat('x', 1000000)";
    let write = |query| fixture.service(Query { access: Access::Write, ..query });
    let alone = write(Query::new([much]));
    let behind = write(Query::new(["INSERT INTO t_much VALUES (0)", much]));
    for service in [alone, behind] {
        assert_eq!(ask(&service, get("/", &[])).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
        eventually("it was cancelled", async || {
            active(postgres(), "t_much") == 0 && fixture.database.stats().busy == 0
        })
        .await;
    }
    // A single statement may be done before it is cancelled.
    assert_eq!(postgres().psql("SELECT count(*) FROM t_much WHERE n = 0"), "0");
    let little = write(Query::new(["INSERT INTO t_much VALUES (1) RETURNING n"]));
    assert_eq!(text(&ask(&little, get("/", &[])).await), r#"[{"n":1}]"#);
}
