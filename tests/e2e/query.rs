//! `query` routes against a real PostgreSQL.

use serde_json::{Value, json};

use crate::database;
use crate::service::{Folder, Service, database_at, dunlin, problem};

/// A service with these routes on the shared database, after `setup` has run there.
fn service(setup: &str, routes: &str) -> Service {
    database().psql(setup);
    Service::start(&(database_at(&database().url()) + routes))
}

#[test]
fn a_row_keeps_its_types() {
    let service = service(
        "CREATE TYPE q_mood AS ENUM ('glad'); CREATE TABLE q_types (id bigint PRIMARY KEY, i2 int2, i4 int4, f4 float4, f8 float8, n numeric,
            b boolean, t text, u uuid, ts timestamptz, lt timestamp, d date, j json, jb jsonb, by bytea, a int[], ta text[], m q_mood, nothing text);
         INSERT INTO q_types VALUES (9007199254740993, -1, 2, 0.1, 1e300, 123456789012345678901234567890.10, true, E'a\"\\n\\u2603', '7f0c6c0e-1111-4222-8333-444455556666',
            '2026-11-22 10:00:00.5+00', '2026-11-22 10:00:00', '2026-11-22', '{\"a\": [1,  2]}', '{\"b\": null}', '\\x00ff', '{1,null,3}', '{a,\"b c\"}', 'glad', null)",
        "[[route]]\npath = \"/types/{id}\"\nquery = \"SELECT * FROM q_types WHERE id = $1\"\nparams = [\"id\"]\nrows = \"one\"\n",
    );
    let response = service.get("/types/9007199254740993");
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    let text = response.text();
    // Numbers that a double cannot hold are seen in the text alone.
    assert!(text.contains("\"id\":9007199254740993"), "{text}");
    assert!(text.contains("\"n\":123456789012345678901234567890.10"), "{text}");
    assert!(text.contains("\"j\":{\"a\": [1,  2]}"), "{text}");
    let row: Value = serde_json::from_str(&text).unwrap();
    for (column, expect) in [
        ("i2", json!(-1)),
        ("i4", json!(2)),
        ("f4", json!(0.1)),
        ("f8", json!(1e300)),
        ("b", json!(true)),
        ("t", json!("a\"\n\u{2603}")),
        ("u", json!("7f0c6c0e-1111-4222-8333-444455556666")),
        ("ts", json!("2026-11-22T10:00:00.5+00:00")),
        ("lt", json!("2026-11-22T10:00:00")),
        ("d", json!("2026-11-22")),
        ("jb", json!({"b": null})),
        ("by", json!("\\x00ff")),
        ("a", json!([1, null, 3])),
        ("ta", json!(["a", "b c"])),
        ("m", json!("glad")),
        ("nothing", Value::Null),
    ] {
        assert_eq!(row[column], expect, "{column}");
    }
}

const NOTES: &str = r#"
[[route]]
path = "/notes"
query = "SELECT id, text FROM q_notes WHERE id >= $1 ORDER BY id"
params = ["from"]
rows = "many"
[[route]]
path = "/notes/{id}"
query = "SELECT id, text FROM q_notes WHERE id = $1"
params = ["id"]
rows = "one"
[[route]]
path = "/notes"
method = "POST"
query = "INSERT INTO q_notes (text, rank) VALUES ($1, $2) RETURNING id, text"
params = ["body.text", "body.rank"]
rows = "one"
status = 201
[[route]]
path = "/notes/{id}"
method = ["PUT", "PATCH"]
query = "UPDATE q_notes SET text = $2 WHERE id = $1 RETURNING id, text"
params = ["id", "body.text"]
rows = "one"
[[route]]
path = "/notes/{id}"
method = "DELETE"
query = "DELETE FROM q_notes WHERE id = $1 RETURNING id"
params = ["id"]
rows = "one"
[[route]]
path = "/parts"
method = "POST"
query = "INSERT INTO q_parts (note) VALUES ($1) RETURNING note"
params = ["body.note"]
rows = "one"
"#;

fn notes() -> Service {
    service(
        "DROP TABLE IF EXISTS q_parts, q_notes;
         CREATE TABLE q_notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL UNIQUE, rank int CHECK (rank > 0));
         CREATE TABLE q_parts (note bigint REFERENCES q_notes);
         INSERT INTO q_notes (text, rank) VALUES ('one', 1), ('two', 2)",
        NOTES,
    )
}

#[test]
fn rows_are_read_and_written_and_errors_are_the_clients() {
    let service = notes();
    // Reading.
    assert_eq!(service.json("/notes?from=1"), json!([{"id": 1, "text": "one"}, {"id": 2, "text": "two"}]));
    assert_eq!(service.json("/notes?from=3"), json!([]));
    assert_eq!(service.json("/notes/2"), json!({"id": 2, "text": "two"}));
    problem(&service.get("/notes/99"), 404);

    // What does not parse names its parameter.
    let document = problem(&service.get("/notes/abc"), 400);
    assert!(document.to_string().contains("id") && document.to_string().contains("bigint"), "{document}");
    problem(&service.get("/notes/9223372036854775808"), 400);
    assert!(problem(&service.get("/notes"), 400).to_string().contains("from"));

    // Writing.
    let response = service.send("POST", "/notes", r#"{"text": "three", "rank": 3}"#);
    assert_eq!(response.status, 201, "{}", response.text());
    let made: Value = serde_json::from_slice(&response.body).unwrap();
    let id = made["id"].as_i64().unwrap();
    assert_eq!(service.json(&format!("/notes/{id}"))["text"], "three");
    let response = service.send("PATCH", &format!("/notes/{id}"), r#"{"text": "drei"}"#);
    assert_eq!((response.status, &*response.text()), (200, &*format!("{{\"id\":{id},\"text\":\"drei\"}}")));
    assert_eq!(service.send("DELETE", &format!("/notes/{id}"), "").status, 200);
    problem(&service.send("DELETE", &format!("/notes/{id}"), ""), 404);

    // Bodies that will not do.
    problem(&service.send("POST", "/notes", "{"), 400);
    problem(&service.send("POST", "/notes", "[1]"), 400);
    assert!(problem(&service.send("POST", "/notes", r#"{"rank": 1}"#), 400).to_string().contains("text"));
    assert!(
        problem(&service.send("POST", "/notes", r#"{"text": "x", "rank": "high"}"#), 400).to_string().contains("rank")
    );
    problem(&service.send("POST", "/notes", r#"{"text": "x", "rank": 3000000000}"#), 400);

    // What the database refuses.
    problem(&service.send("POST", "/notes", r#"{"text": "one", "rank": 1}"#), 409);
    problem(&service.send("POST", "/parts", r#"{"note": 424242}"#), 409);
    problem(&service.send("POST", "/notes", r#"{"text": "zero", "rank": 0}"#), 422);
    assert_eq!(database().psql("SELECT count(*) FROM q_notes WHERE text = 'zero'"), "0");
}

#[test]
fn a_statement_that_takes_too_long_is_504() {
    let url = database().url();
    let service = Service::start(&format!(
        "[database]\nurl = \"{url}\"\nacquire_timeout = \"1m\"\nstatement_timeout = \"300ms\"\n[[route]]\npath = \"/slow\"\nquery = \"SELECT pg_sleep(30)\"\nrows = \"one\"\n"
    ));
    problem(&service.get("/slow"), 504);
    dunlin_testkit::eventually("no statement is left running", || {
        database()
            .psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%' AND state = 'active'")
            == "0"
    });
}

#[test]
fn a_statement_without_a_waiting_client_is_cancelled() {
    let url = database().url();
    let service = Service::start(&format!(
        "[database]\nurl = \"{url}\"\nacquire_timeout = \"1m\"\nstatement_timeout = \"5m\"\n[[route]]\npath = \"/slow\"\nquery = \"SELECT pg_sleep(300), 'left' AS what\"\nrows = \"one\"\n"
    ));
    let running = || {
        database().psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%''left''%' AND state = 'active' AND pid <> pg_backend_pid()")
    };
    let mut client = std::net::TcpStream::connect(service.addr).unwrap();
    std::io::Write::write_all(&mut client, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    dunlin_testkit::eventually("it runs", || running() == "1");
    drop(client);
    dunlin_testkit::eventually("it is cancelled", || running() == "0");
}

#[test]
fn an_exhausted_pool_is_503_until_a_connection_is_free() {
    let url = database().url();
    let service = Service::start(&format!(
        "[database]\nurl = \"{url}\"\npool_size = 1\nacquire_timeout = \"100ms\"\nstatement_timeout = \"5m\"\n\
         [[route]]\npath = \"/slow\"\nquery = \"SELECT pg_sleep(300), 'exhausting' AS what\"\nrows = \"one\"\n\
         [[route]]\npath = \"/one\"\nquery = \"SELECT 1 AS one\"\nrows = \"one\"\n"
    ));
    // The one connection may be asked at this moment whether the database is there.
    dunlin_testkit::eventually("it is free", || service.get("/one").status == 200);
    let addr = service.addr;
    let slow = std::thread::spawn(move || {
        loop {
            match dunlin_testkit::raw::get(addr, "/slow").status {
                503 => {}
                status => return status,
            }
        }
    });
    let of_slow =
        "FROM pg_stat_activity WHERE query LIKE '%exhausting%' AND state = 'active' AND pid <> pg_backend_pid()";
    dunlin_testkit::eventually("the slow one runs", || database().psql(&format!("SELECT count(*) {of_slow}")) == "1");
    let response = service.get("/one");
    problem(&response, 503);
    assert!(response.header("retry-after").is_some());
    database().psql(&format!("SELECT pg_cancel_backend(pid) {of_slow}"));
    assert_eq!(slow.join().unwrap(), 504);
    dunlin_testkit::eventually("it is free again", || service.get("/one").status == 200);
}

#[test]
fn unchanged_rows_are_304() {
    let service = notes_like("etag");
    let first = service.get("/etag/1");
    let etag = first.header("etag").expect("an ETag");
    assert_eq!(service.get_with("/etag/1", &[("If-None-Match", etag)]).status, 304);
    database().psql("UPDATE q_etag SET text = 'changed' WHERE id = 1");
    let second = service.get_with("/etag/1", &[("If-None-Match", etag)]);
    assert_eq!((second.status, second.header("etag") == Some(etag)), (200, false));
}

fn notes_like(name: &str) -> Service {
    service(
        &format!("CREATE TABLE q_{name} (id bigint PRIMARY KEY, text text); INSERT INTO q_{name} VALUES (1, 'one')"),
        &format!(
            "[[route]]\npath = \"/{name}/{{id}}\"\nquery = \"SELECT * FROM q_{name} WHERE id = $1\"\nparams = [\"id\"]\nrows = \"one\"\n"
        ),
    )
}

#[track_caller]
fn check_fails(route: &str, expect: &[&str]) {
    let config = format!("[database]\nurl = \"{}\"\n[[route]]\n{route}\n", database().url());
    let folder = Folder::new(&config);
    for command in ["check", "serve"] {
        let out = dunlin(&[command], &folder);
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success(), "{command}: {route}");
        for part in expect {
            assert!(message.contains(part), "{command}: {part:?} is not in:\n{message}");
        }
    }
}

#[test]
fn check_and_start_prepare_every_query() {
    check_fails("path = \"/x\"\nquery = \"SELEC 1\"\nrows = \"one\"", &["/x", "syntax error at or near \"SELEC\""]);
    check_fails(
        "path = \"/x\"\nquery = \"SELECT * FROM q_missing\"\nrows = \"one\"",
        &["/x", "relation \"q_missing\" does not exist"],
    );
    check_fails("path = \"/x/{a}\"\nquery = \"SELECT 1\"\nparams = [\"a\"]\nrows = \"one\"", &["/x/{a}"]);
    check_fails("path = \"/x\"\nquery = \"SELECT $1::int\"\nrows = \"one\"", &["/x", "$1"]);
    let folder = Folder::new(&format!(
        "[database]\nurl = \"{}\"\n[[route]]\npath = \"/x\"\nquery = \"SELECT 1 AS one\"\nrows = \"one\"\n",
        database().url()
    ));
    let out = dunlin(&["check"], &folder);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn check_names_a_database_that_cannot_be_reached() {
    let folder = Folder::new(
        "[database]\nurl = \"postgres://a@127.0.0.1:1/a\"\n[[route]]\npath = \"/x\"\nquery = \"SELECT 1\"\nrows = \"one\"\n",
    );
    let out = dunlin(&["check"], &folder);
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("127.0.0.1:1"), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn check_warns_of_groups_that_no_notice_will_name() {
    let url = database().url();
    let check = |keys: &str| {
        let folder = Folder::new(&format!(
            "[database]\nurl = \"{url}\"\npooler = \"transaction\"\n{keys}\n[[route]]\npath = \"/x\"\nquery = \"SELECT 1 AS one\"\nrows = \"one\"\ncache = {{ age = \"1h\", groups = [\"x\"] }}\n"
        ));
        let out = dunlin(&["check"], &folder);
        assert!(out.status.success());
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    assert!(check("").contains("listen_url"));
    assert_eq!(check(&format!("listen_url = \"{url}\"")), "");
}
