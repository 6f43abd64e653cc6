//! PgBouncer, which hands out connections by transaction.

use std::sync::OnceLock;
use std::time::Duration;

use dunlin_pg::{Access, Config, Event, Pooler, Query, QueryService, Rows, TransactionOptions};
use dunlin_testkit::PgBouncer;

use crate::stream::{many, many_parts};
use crate::support::{Fixture, ask, config, eventually, get, named, next, post, postgres, text};

const WRITE: TransactionOptions = TransactionOptions { access: Access::Write, isolation: None };

fn bouncer() -> &'static PgBouncer {
    static BOUNCER: OnceLock<PgBouncer> = OnceLock::new();
    BOUNCER.get_or_init(|| PgBouncer::start(postgres()))
}

fn behind(bouncer: &PgBouncer, name: &str) -> Fixture {
    Fixture::new(behind_config(bouncer, name))
}

fn behind_config(bouncer: &PgBouncer, name: &str) -> Config {
    Config { url: bouncer.url(), pooler: Pooler::Transaction, pool_size: 8, ..config(name) }
}

/// Asks eight times at once, over three connections of the pooler.
async fn crowd(service: &QueryService, uri: &str, expect: &str) {
    for _ in 0..5 {
        for answer in futures_util::future::join_all((0..8).map(|_| ask(service, get(uri, &[])))).await {
            assert_eq!((answer.status().as_u16(), text(&answer)), (200, expect), "{uri}");
        }
    }
}

#[tokio::test]
async fn reads_of_every_kind_of_type_go_through_a_pooler() {
    postgres().psql(
        "CREATE TYPE p_mood AS ENUM ('fine'); CREATE TYPE p_pair AS (a int, b text); CREATE DOMAIN p_short AS varchar(5);
         CREATE TABLE p_kinds (id int, mood p_mood, pair p_pair, short p_short, moods p_mood[]);
         INSERT INTO p_kinds VALUES (1, 'fine', '(1,x)', 'abc', '{fine}')",
    );
    let fixture = behind(bouncer(), "p_kinds");
    let of = |rows, sql: &str| fixture.service(Query { params: named(&["id"]), rows, ..Query::new([sql]) });
    crowd(&of(Rows::One, "SELECT id FROM p_kinds WHERE id = $1"), "/?id=1", r#"{"id":1}"#).await;
    // Each has a type of its own, so that the client library looks each up at another time.
    crowd(&of(Rows::One, "SELECT mood FROM p_kinds WHERE id = $1"), "/?id=1", r#"{"mood":"fine"}"#).await;
    crowd(&of(Rows::One, "SELECT pair FROM p_kinds WHERE id = $1"), "/?id=1", r#"{"pair":{"a":1,"b":"x"}}"#).await;
    crowd(
        &of(Rows::Many, "SELECT short, moods FROM p_kinds WHERE id = $1"),
        "/?id=1",
        r#"[{"short":"abc","moods":["fine"]}]"#,
    )
    .await;
    let read_only = of(
        Rows::One,
        "SELECT current_setting('transaction_read_only') AS ro, current_setting('statement_timeout') AS t, $1::int AS id",
    );
    crowd(&read_only, "/?id=1", r#"{"ro":"on","t":"1min","id":1}"#).await;
    let declared = [
        fixture.declare(Query::new(["SELECT mood, moods FROM p_kinds"])),
        fixture.declare(Query::new(["SELECT pair FROM p_kinds"])),
    ];
    for description in fixture.database.describe(&declared).await.unwrap() {
        assert!(!description.unwrap().columns.is_empty());
    }
}

#[tokio::test]
async fn writes_and_transactions_go_through_a_pooler() {
    postgres()
        .psql("CREATE TABLE p_sums (id int PRIMARY KEY, n int NOT NULL); INSERT INTO p_sums VALUES (1, 0), (2, 0)");
    let fixture = behind(bouncer(), "p_sums");
    let add = fixture.service(Query {
        params: named(&["body.n"]),
        access: Access::Write,
        rows: Rows::One,
        ..Query::new([
            "UPDATE p_sums SET n = n + $1 WHERE id = 1",
            "UPDATE p_sums SET n = n - $1 WHERE id = 2 RETURNING n",
        ])
    });
    let all = futures_util::future::join_all((0..40).map(|_| ask(&add, post(r#"{"n": 1}"#)))).await;
    assert!(all.iter().all(|answer| answer.status() == 200), "{all:?}");
    assert_eq!(postgres().psql("SELECT n FROM p_sums ORDER BY id"), "40\n-40");
    assert_eq!(ask(&add, post(r#"{"n": null}"#)).await.status(), 422);
    assert_eq!(ask(&add, post(r#"{"n": "x"}"#)).await.status(), 400);

    let by_hand = (0..40).map(|_| async {
        let mut transaction = fixture.pool.begin(WRITE).await?;
        let rows = transaction.query("SELECT n FROM p_sums WHERE id = $1 FOR UPDATE", &[&1_i32]).await?;
        let n: i32 = rows[0].get(0);
        transaction.execute("UPDATE p_sums SET n = $2 WHERE id = $1", &[&1_i32, &(n - 1)]).await?;
        transaction.commit().await
    });
    for done in futures_util::future::join_all(by_hand).await {
        done.unwrap();
    }
    let mut dropped = fixture.pool.begin(WRITE).await.unwrap();
    dropped.execute("UPDATE p_sums SET n = 1000", &[]).await.unwrap();
    drop(dropped);
    eventually("it is rolled back", async || {
        postgres().try_psql("SELECT n FROM p_sums WHERE id = 1 FOR UPDATE NOWAIT").is_ok_and(|n| n == "0")
    })
    .await;
    // The next client of the pooler must not meet a statement.
    let left = fixture.service(Query {
        rows: Rows::One,
        ..Query::new(["SELECT count(*) AS n FROM pg_prepared_statements WHERE statement LIKE '%p_sums%'"])
    });
    crowd(&left, "/", r#"{"n":0}"#).await;
}

#[tokio::test]
async fn many_rows_come_in_parts_through_a_pooler() {
    let fixture = behind(bouncer(), "p_many");
    for many in many().map(|query| fixture.service(query)) {
        for _ in 0..3 {
            many_parts(&many).await;
        }
    }
    eventually("the connections are free again", async || fixture.database.stats().busy == 0).await;
    let left = fixture.service(Query {
        rows: Rows::One,
        ..Query::new(["SELECT count(*) AS n FROM pg_prepared_statements WHERE statement LIKE '%generate_series%'"])
    });
    crowd(&left, "/", r#"{"n":0}"#).await;
}

#[tokio::test]
async fn an_abandoned_statement_is_cancelled_through_a_pooler() {
    let bouncer = PgBouncer::start(postgres());
    let port = bouncer.url().rsplit([':', '/']).nth(1).unwrap().to_owned();
    // The address is enough, and has precedence over a name that does not resolve.
    let by_address = format!("hostaddr=127.0.0.1 port={port} user=postgres dbname=postgres");
    for url in [bouncer.url(), format!("{by_address} host=nowhere.invalid"), by_address] {
        // The time is so long that only a cancellation ends the statement.
        let statement_timeout = Duration::from_secs(60);
        let fixture =
            Fixture::new(Config { url: url.clone(), statement_timeout, ..behind_config(&bouncer, "p_cancel") });
        let slow = Query { rows: Rows::One, ..Query::new(["SELECT pg_sleep(50)::text AS p_cancel"]) };
        let slow = fixture.service(slow);
        let running = || {
            postgres().psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%AS p_cancel%' AND state = 'active' AND pid <> pg_backend_pid()")
        };
        let asking = tokio::spawn(async move { ask(&slow, get("/", &[])).await });
        eventually("it runs", async || running() == "1").await;
        asking.abort();
        eventually(&format!("it was cancelled by {url}"), async || running() == "0").await;
        let one = fixture.service(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
        crowd(&one, "/", r#"{"one":1}"#).await;
    }
}

#[tokio::test]
async fn parameters_are_typed_as_without_a_pooler() {
    postgres().psql("CREATE TABLE p_typed (id int, name text); INSERT INTO p_typed VALUES (1, 'one'), (2, 'two')");
    for fixture in [behind(bouncer(), "p_typed"), Fixture::new(config("p_typed_direct"))] {
        let any = fixture.service(Query {
            params: named(&["id"]),
            ..Query::new(["SELECT name FROM p_typed WHERE id = ANY($1) ORDER BY id"])
        });
        let one = fixture.service(Query {
            params: named(&["id"]),
            rows: Rows::One,
            ..Query::new(["SELECT name FROM p_typed WHERE id = $1"])
        });
        for (service, uri, status, part) in [
            (&any, "/?id=2", 200, r#"[{"name":"two"}]"#),
            (&any, "/?id=1&id=2", 200, r#"[{"name":"one"},{"name":"two"}]"#),
            (&any, "/?id=x", 400, "expected integer[]"),
            (&one, "/?id=1", 200, r#"{"name":"one"}"#),
            (&one, "/?id=x", 400, "id: expected integer"),
            (&one, "/?id=1&id=2", 400, "id: expected integer"),
        ] {
            let answer = ask(service, get(uri, &[])).await;
            assert!(answer.status() == status && text(&answer).contains(part), "{uri}: {}", text(&answer));
        }
        // The types are remembered until they no longer fit.
        postgres().psql("ALTER TABLE p_typed ALTER COLUMN id TYPE text");
        assert_eq!(text(&ask(&one, get("/?id=1", &[])).await), r#"{"name":"one"}"#);
        postgres().psql("ALTER TABLE p_typed ALTER COLUMN id TYPE int USING id::int");
        assert_eq!(text(&ask(&one, get("/?id=2", &[])).await), r#"{"name":"two"}"#);
    }
}

#[tokio::test]
async fn answers_without_a_row_are_the_same_without_a_pooler() {
    postgres().psql("CREATE TABLE p_empty (id int)");
    let write = |sql: &str| Query { access: Access::Write, ..Query::new([sql]) };
    let cases = [
        (write("UPDATE p_empty SET id = 1"), 204, ""),
        (write("UPDATE p_empty SET id = 1 RETURNING id"), 200, "[]"),
        (Query::new(["SELECT id FROM p_empty"]), 200, "[]"),
        (Query { rows: Rows::One, ..write("UPDATE p_empty SET id = 1") }, 404, ""),
        (Query { rows: Rows::One, ..Query::new(["SELECT id FROM p_empty"]) }, 404, ""),
    ];
    for fixture in [behind(bouncer(), "p_empty"), Fixture::new(config("p_empty_direct"))] {
        for (query, status, body) in &cases {
            let answer = ask(&fixture.service(query.clone()), get("/", &[])).await;
            assert_eq!(answer.status(), *status, "{query:?}");
            assert!(*status == 404 || text(&answer) == *body, "{query:?}: {}", text(&answer));
        }
        let formats = dunlin_pg::Formats { csv: true, ndjson: false };
        let csv = fixture.service(Query { formats, ..Query::new(["SELECT id FROM p_empty"]) });
        let mut request = get("/", &[]);
        request.headers_mut().insert("accept", http::HeaderValue::from_static("text/csv"));
        assert_eq!(text(&ask(&csv, request).await), "id\r\n");
    }
}

#[tokio::test]
async fn a_restart_of_the_pooler_or_of_its_servers_heals() {
    let mut bouncer = PgBouncer::start(postgres());
    let fixture = behind(&bouncer, "p_heal");
    let one = fixture.service(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
    for _ in 0..3 {
        crowd(&one, "/", r#"{"one":1}"#).await;
        bouncer.restart();
        // All connections of the pool are gone, and no read fails.
        crowd(&one, "/", r#"{"one":1}"#).await;
        bouncer.stop_hard();
        assert_eq!(ask(&one, get("/", &[])).await.status(), 503);
        bouncer.restart();
        eventually("it heals", async || ask(&one, get("/", &[])).await.status() == 200).await;
        // The connections of the pooler to the server end: all idle ones are its own.
        let own = "backend_type = 'client backend' AND application_name = 'p_heal'";
        postgres().psql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {own}"));
        eventually("it heals again", async || ask(&one, get("/", &[])).await.status() == 200).await;
    }
}

#[tokio::test]
async fn notifications_need_a_url_around_the_pooler() {
    let through = behind(bouncer(), "p_cut_off");
    assert!(!through.database.can_listen());
    let mut cut_off = through.database.listen(["p_notices"]);
    assert!(tokio::time::timeout(Duration::from_millis(300), cut_off.next()).await.is_err(), "there is no event");

    let around = Fixture::new(Config {
        url: bouncer().url(),
        listen_url: Some(postgres().url()),
        pooler: Pooler::Transaction,
        ..config("p_hears")
    });
    assert!(around.database.can_listen());
    let mut listener = around.database.listen(["p_notices"]);
    assert_eq!(next(&mut listener).await, Event::Gap);
    let mut transaction = around.pool.begin(WRITE).await.unwrap();
    transaction.execute("NOTIFY p_notices, 'a'", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(next(&mut listener).await, Event::Notice { channel: "p_notices".into(), payload: "a".into() });
}
