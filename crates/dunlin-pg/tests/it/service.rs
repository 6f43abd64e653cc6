//! Queries over HTTP: rows, writes, and errors.

use dunlin_pg::{Access, Formats, Query, Rows};
use http::StatusCode;

use crate::support::{Fixture, ask, config, get, named, post, postgres, text};

#[tokio::test]
async fn parameters_come_from_the_path_the_query_and_defaults() {
    postgres().psql(
        "CREATE TABLE s_notes (id bigint PRIMARY KEY, text text, tags text[]);
         INSERT INTO s_notes VALUES (1, 'one', '{a,b}'), (2, 'two', NULL), (3, 'three', '{}')",
    );
    let fixture = Fixture::new(config("s_read"));
    let one = fixture.service(Query {
        params: named(&["id"]),
        rows: Rows::One,
        ..Query::new(["SELECT * FROM s_notes WHERE id = $1"])
    });
    let response = ask(&one, get("/", &[("id", "1")])).await;
    assert_eq!(text(&response), r#"{"id":1,"text":"one","tags":["a","b"]}"#);
    assert_eq!(response.headers()["content-type"], "application/json");
    let etag = response.headers()["etag"].clone();
    let mut again = get("/", &[("id", "1")]);
    again.headers_mut().insert("if-none-match", etag.clone());
    let response = ask(&one, again).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(response.headers()["etag"], etag);

    for (id, status) in [("4", 404), ("abc", 400), ("99999999999999999999", 400), ("", 400)] {
        let response = ask(&one, get("/", &[("id", id)])).await;
        assert_eq!(response.status(), status, "{id:?}: {}", text(&response));
    }
    let response = ask(&one, get("/", &[("id", "abc")])).await;
    assert!(
        text(&response).contains(r#""parameter":"id""#) && text(&response).contains("bigint"),
        "{}",
        text(&response)
    );
    let response = ask(&one, get("/", &[])).await;
    assert_eq!(response.status(), 400, "a parameter is missing");

    let many = fixture.service(Query {
        params: vec![dunlin_pg::Source::named("id").or(dunlin_pg::param::Param::Many(vec!["1".into()]))],
        formats: Formats { csv: true, ndjson: true },
        ..Query::new(["SELECT id, text FROM s_notes WHERE id = ANY($1) ORDER BY id"])
    });
    let ids = async |query: &str| text(&ask(&many, get(query, &[])).await).to_owned();
    assert_eq!(ids("/?id=3&id=2&id=9").await, r#"[{"id":2,"text":"two"},{"id":3,"text":"three"}]"#);
    assert_eq!(ids("/?id=2").await, r#"[{"id":2,"text":"two"}]"#);
    assert_eq!(ids("/").await, r#"[{"id":1,"text":"one"}]"#);
    assert_eq!(ids("/?id=9").await, "[]");
    let mut csv = get("/?id=1&id=2", &[]);
    csv.headers_mut().insert("accept", "text/csv".parse().unwrap());
    let response = ask(&many, csv).await;
    assert_eq!(text(&response), "id,text\r\n1,one\r\n2,two\r\n");
    assert_eq!(response.headers()["vary"], "accept");
}

#[tokio::test]
async fn writes_take_a_body_and_constraints_have_statuses() {
    postgres().psql(
        "CREATE TABLE s_users (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, age int CHECK (age > 0));
         CREATE TABLE s_posts (author bigint REFERENCES s_users)",
    );
    let fixture = Fixture::new(config("s_write"));
    let insert = fixture.service(Query {
        params: named(&["body.email", "body.age"]),
        rows: Rows::One,
        access: Access::Write,
        status: StatusCode::CREATED,
        ..Query::new(["INSERT INTO s_users (email, age) VALUES ($1, $2) RETURNING email, age"])
    });
    let response = ask(&insert, post(r#"{"email": "a@b", "age": 36}"#)).await;
    assert_eq!((response.status(), text(&response)), (StatusCode::CREATED, r#"{"email":"a@b","age":36}"#));
    for (body, status) in [
        (r#"{"email": "a@b", "age": 36}"#, 409),
        (r#"{"email": "c@d", "age": -1}"#, 422),
        (r#"{"email": null, "age": 1}"#, 422),
        (r#"{"email": "c@d", "age": "x"}"#, 400),
        (r#"{"email": "c@d", "age": 99999999999}"#, 400),
        (r#"{"email": "c@d"}"#, 400),
        (r#"{"email": "c@d", "age""#, 400),
        ("[1]", 400),
    ] {
        let response = ask(&insert, post(body)).await;
        assert_eq!(response.status(), status, "{body}: {}", text(&response));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    let mut wrong = post(r#"{"email": "typed@example.com", "age": 1}"#);
    wrong.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(ask(&insert, wrong).await.status(), 415);
    let mut untyped = post(r#"{"email": "typed@example.com", "age": 1}"#);
    untyped.headers_mut().remove("content-type");
    assert_eq!(ask(&insert, untyped).await.status(), 201);
    let large = format!(r#"{{"email": "{}", "age": 1}}"#, "x".repeat(2000));
    assert_eq!(ask(&insert.clone().max_body(1000), post(&large)).await.status(), 413);

    let orphan = fixture.service(Query {
        params: named(&["body.author"]),
        access: Access::Write,
        ..Query::new(["INSERT INTO s_posts VALUES ($1)"])
    });
    assert_eq!(ask(&orphan, post(r#"{"author": 999}"#)).await.status(), 409);
    assert_eq!(ask(&orphan, post(r#"{"author": 1}"#)).await.status(), 204, "no columns, no content");

    let delete = fixture.service(Query {
        params: named(&["id"]),
        rows: Rows::One,
        access: Access::Write,
        ..Query::new(["DELETE FROM s_users WHERE email = $1"])
    });
    assert_eq!(ask(&delete, get("/?id=none", &[])).await.status(), 404);
}

#[tokio::test]
async fn a_read_cannot_write() {
    postgres().psql(
        "CREATE TABLE s_safe (n int); CREATE FUNCTION s_sneaky() RETURNS int LANGUAGE sql AS
             'INSERT INTO s_safe VALUES (1) RETURNING n'",
    );
    let fixture = Fixture::new(config("s_safe"));
    for sql in [
        "INSERT INTO s_safe VALUES (1) RETURNING n",
        "WITH a AS (DELETE FROM s_safe RETURNING n) SELECT n FROM a",
        "SELECT n FROM s_safe FOR UPDATE",
        "SELECT nextval('s_any')",
        "SELECT n INTO s_copy FROM s_safe",
        "DROP TABLE s_safe",
    ] {
        let error = fixture.database.declare(Query::new([sql])).unwrap_err().to_string();
        assert!(error.contains("read-only") && error.contains("POST"), "{sql}: {error}");
        let write = Query { access: Access::Write, ..Query::new([sql]) };
        assert!(fixture.database.declare(write).is_ok(), "{sql}");
    }
    // The body of a function is not in the text, so the server refuses it.
    let sneaky = fixture.service(Query::new(["SELECT s_sneaky() AS n"]));
    assert_eq!(ask(&sneaky, get("/", &[])).await.status(), 500);
    assert_eq!(postgres().psql("SELECT count(*) FROM s_safe").trim(), "0");
}

#[tokio::test]
async fn an_insert_that_skips_a_conflict_is_409() {
    postgres().psql("CREATE TABLE s_once (id int PRIMARY KEY)");
    let fixture = Fixture::new(config("s_once"));
    let of = |sql: &str| {
        let params = named(&["body.id"]);
        fixture.service(Query { params, rows: Rows::One, access: Access::Write, ..Query::new([sql]) })
    };
    let returning = of("INSERT INTO s_once VALUES ($1) ON CONFLICT DO NOTHING RETURNING id");
    let silent = of("INSERT INTO s_once VALUES ($1) ON CONFLICT (id) DO NOTHING");
    assert_eq!(ask(&returning, post(r#"{"id": 1}"#)).await.status(), 200);
    assert_eq!(ask(&silent, post(r#"{"id": 2}"#)).await.status(), 204);
    for service in [&returning, &silent] {
        let answer = ask(service, post(r#"{"id": 1}"#)).await;
        assert!(answer.status() == 409 && text(&answer).contains("exists already"), "{}", text(&answer));
    }
    let none = of("INSERT INTO s_once SELECT $1 WHERE false RETURNING id");
    assert_eq!(ask(&none, post(r#"{"id": 3}"#)).await.status(), 404);
}

#[tokio::test]
async fn a_description_finds_wrong_defaults_and_repeated_names() {
    use dunlin_pg::Source;
    use dunlin_pg::param::Param;

    postgres().psql("CREATE TYPE s_colour AS ENUM ('red', 'blue')");
    let fixture = Fixture::new(config("s_defaults"));
    let with = |sql: &str, default: Param| {
        fixture.declare(Query { params: vec![Source::named("q").or(default)], ..Query::new([sql]) })
    };
    let number = |text: &str| Param::from(serde_json::from_str::<serde_json::Value>(text).unwrap());
    let queries = [
        (with("SELECT $1::text AS v", number("5")), Some("q: its default is not valid: expected text")),
        (with("SELECT $1::int AS v", "abc".into()), Some("q: its default is not valid: expected integer")),
        (with("SELECT $1::s_colour AS v", "green".into()), Some("q: its default is not valid: invalid input value")),
        (with("SELECT $1::s_colour AS v", "blue".into()), None),
        (with("SELECT $1::int[] AS v", number("[1, 2]")), None),
        (with("SELECT $1::numeric AS v", number("1.5")), None),
        (with("SELECT $1::inet AS v", "1.2.3.4.5".into()), Some("q: its default is not valid")),
        (with("SELECT $1::int AS v", Param::Null), None),
        (fixture.declare(Query::new(["SELECT 1 AS a, 2 AS b, 3 AS a"])), Some("two columns have the name \"a\"")),
        (fixture.declare(Query::new(["SELECT 1 AS a, 2 AS a", "SELECT 1 AS a"])), None),
        (fixture.declare(Query::new(["SELECT 1::money AS a"])), Some("\"a\"::numeric")),
        (fixture.declare(Query::new(["SELECT ROW(1) AS a"])), Some("to_json(\"a\")")),
    ];
    let (queries, expected): (Vec<_>, Vec<_>) = queries.into_iter().unzip();
    for ((answer, expected), query) in
        fixture.database.describe(&queries).await.unwrap().into_iter().zip(expected).zip(&queries)
    {
        let error = answer.err().map(|error| error.to_string());
        match expected {
            None => assert_eq!(error, None, "{query:?}"),
            Some(part) => assert!(error.as_ref().is_some_and(|error| error.contains(part)), "{query:?}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn statements_of_one_route_are_one_transaction() {
    postgres().psql(
        "CREATE TABLE s_accounts (id int PRIMARY KEY, amount int CHECK (amount >= 0)); INSERT INTO s_accounts VALUES (1, 10), (2, 0)",
    );
    let fixture = Fixture::new(config("s_transfer"));
    let transfer = fixture.service(Query {
        params: named(&["body.from", "body.to", "body.amount"]),
        access: Access::Write,
        isolation: Some(dunlin_pg::Isolation::Serializable),
        ..Query::new([
            "UPDATE s_accounts SET amount = amount + $3 WHERE id = $2",
            "UPDATE s_accounts SET amount = amount - $3 WHERE id = $1",
            "SELECT id, amount FROM s_accounts ORDER BY id",
        ])
    });
    let move_ =
        async |amount: i32| ask(&transfer, post(&format!(r#"{{"from": 1, "to": 2, "amount": {amount}}}"#))).await;
    assert_eq!(text(&move_(4).await), r#"[{"id":1,"amount":6},{"id":2,"amount":4}]"#);
    assert_eq!(move_(7).await.status(), 422, "the second statement fails, and the first is undone");
    assert_eq!(text(&move_(0).await), r#"[{"id":1,"amount":6},{"id":2,"amount":4}]"#);
    // All run at once. Some lose against others and run again.
    let all = futures_util::future::join_all((0..6).map(|_| move_(1))).await;
    assert!(all.iter().all(|response| response.status() == 200), "{all:?}");
    assert_eq!(text(&move_(0).await), r#"[{"id":1,"amount":0},{"id":2,"amount":10}]"#);
}

#[tokio::test]
async fn a_description_has_types_and_the_errors_of_postgresql() {
    let fixture = Fixture::new(config("s_describe"));
    let good = fixture
        .declare(Query { params: named(&["a", "b"]), ..Query::new(["SELECT $1::bigint AS n, $2::text[] AS words"]) });
    let bad = fixture.declare(Query::new(["SELEC 1"]));
    let answers = fixture.database.describe(&[good, bad]).await.unwrap();
    let good = answers[0].as_ref().unwrap();
    assert_eq!(good.params, ["bigint", "text[]"]);
    assert_eq!(good.columns, [("n".into(), "bigint".into()), ("words".into(), "text[]".into())]);
    let error = answers[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("syntax error at or near \"SELEC\""), "{error}");
}
