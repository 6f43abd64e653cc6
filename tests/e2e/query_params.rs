//! Parameters from every part of a request, against a real PostgreSQL.

use dunlin_testkit::raw;
use serde_json::{Value, json};

use crate::database;
use crate::service::{Folder, Service, database_at, dunlin, problem, refused};

const FORM: &str = "application/x-www-form-urlencoded";

const ROUTES: &str = r#"
[[route]]
path = "/deep"
method = "POST"
query = "SELECT $1::int AS n, $2 AS s, $3::text[] AS tags, $4::jsonb AS rest"
params = ["body.a.n", "body.a.b.s", "body.tags", "body.rest"]
default = { "body.tags" = null, "body.rest" = null, "body.a.b.s" = "none" }
rows = "one"
[[route]]
path = "/json"
method = ["POST", "QUERY"]
query = "SELECT $1::jsonb AS body"
params = ["body"]
rows = "one"
[[route]]
path = "/text"
method = "POST"
query = "SELECT $1::text AS body"
params = ["body"]
rows = "one"
[[route]]
path = "/bytes"
method = "PUT"
max_body = "10KB"
query = "SELECT encode($1::bytea, 'hex') AS body"
params = ["body"]
rows = "one"
[[route]]
path = "/bulk"
method = "POST"
query = "INSERT INTO p_items SELECT * FROM unnest($1::p_items[]) RETURNING id, name"
params = ["body"]
[[route]]
path = "/upload"
method = "POST"
max_body = "10KB"
query = "SELECT $1::int AS id, encode($2::bytea, 'hex') AS file, $3 AS name, $4 AS type"
params = ["body.id", "body.file", "body.file.filename", "body.file.content_type"]
default = { "body.file.content_type" = null }
rows = "one"
[[route]]
path = "/facts"
query = "SELECT $1::inet AS ip, $2 AS cookie, $3 AS id, $4 AS header, $5::int AS page"
params = ["client_ip", "cookie.session", "request_id", "header.X-One", "page"]
default = { "cookie.session" = "none", page = null, "header.X-One" = null }
rows = "one"
[[route]]
path = "/{body}"
query = "SELECT $1 AS body"
params = ["body"]
rows = "one"
"#;

fn send(service: &Service, method: &str, target: &str, media: Option<&str>, body: &[u8]) -> raw::Response {
    let fields: Vec<(&str, &str)> = media.map(|media| ("Content-Type", media)).into_iter().collect();
    raw::request(service.addr, method, target, &fields, body)
}

#[track_caller]
fn ok(response: &raw::Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn parameters_come_from_everywhere() {
    database().psql("CREATE TABLE p_items (id int PRIMARY KEY, name text)");
    let config = database_at(&database().url()) + ROUTES;
    let service = Service::with("request_id = true", &config, |_| ());
    let post = |target: &str, media, body: &str| send(&service, "POST", target, Some(media), body.as_bytes());

    // Fields at any depth, of JSON and of forms.
    let deep = ok(&post("/deep", "application/json", r#"{"a":{"n":1.0,"b":{"s":"x"}},"tags":["p"],"rest":{"z":[1]}}"#));
    assert_eq!(deep, json!({"n": 1, "s": "x", "tags": ["p"], "rest": {"z": [1]}}));
    let deep = ok(&post("/deep", FORM, "a.n=2&a[b][s]=x+y&tags[]=p&tags[]=q"));
    assert_eq!(deep, json!({"n": 2, "s": "x y", "tags": ["p", "q"], "rest": null}));
    let deep = ok(&post("/deep", FORM, "a[n]=3&tags=one"));
    assert_eq!(deep, json!({"n": 3, "s": "none", "tags": ["one"], "rest": null}));
    let refused = problem(&post("/deep", FORM, "a[n]=x"), 400);
    assert_eq!(refused["parameter"], "body.a.n");
    assert!(problem(&post("/deep", FORM, "{\"a\":1}"), 400)["detail"].as_str().unwrap().contains("the form has no"));
    problem(&post("/deep", "application/json", "[1]"), 400);
    let unsupported = post("/deep", "text/plain", "{}");
    problem(&unsupported, 415);
    assert!(unsupported.header("accept").unwrap().contains("application/json"));

    // The whole body.
    for method in ["POST", "QUERY"] {
        let whole = |media, body: &str| send(&service, method, "/json", media, body.as_bytes());
        assert_eq!(ok(&whole(Some("application/ld+json"), "[1, {\"a\": null}]")), json!({"body": [1, {"a": null}]}));
        assert_eq!(ok(&whole(Some(FORM), "a=1&b=2&b=3")), json!({"body": {"a": "1", "b": ["2", "3"]}}));
        assert_eq!(problem(&whole(Some("application/json"), "{"), 400)["parameter"], "body");
        // A QUERY needs a media type.
        let missing = problem(&whole(None, ""), 400);
        assert_eq!(missing.get("parameter"), (method == "POST").then_some(&json!("body")));
        problem(&whole(Some("text/plain"), "[]"), 415);
    }
    assert_eq!(ok(&post("/text", "text/markdown", "# é\n")), json!({"body": "# é\n"}));
    problem(&send(&service, "POST", "/text", Some("text/plain"), b"\xff"), 400);
    let bytes = send(&service, "PUT", "/bytes", Some("image/png"), b"\x00\xff\\x41");
    assert_eq!(ok(&bytes), json!({"body": "00ff5c783431"}));
    problem(&send(&service, "PUT", "/bytes", Some("image/png"), &vec![0; 20_000]), 413);
    let bulk = post("/bulk", "application/json", r#"[{"id": 1, "name": "a"}, {"id": 2}]"#);
    assert_eq!(ok(&bulk), json!([{"id": 1, "name": "a"}, {"id": 2, "name": null}]));
    assert_eq!(problem(&post("/bulk", "application/json", r#"[{"id": 1, "nme": "a"}]"#), 400)["parameter"], "body");
    problem(&post("/bulk", "application/json", r#"[{"id": 3}, {"id": 2}]"#), 409);
    assert_eq!(database().psql("SELECT count(*) FROM p_items"), "2");

    // Files.
    let part =
        |fields: &str, value: &str| format!("--B\r\nContent-Disposition: form-data; {fields}\r\n\r\n{value}\r\n");
    let file = "name=\"file\"; filename=\"a b.bin\"\r\nContent-Type: image/png";
    let form = part("name=\"id\"", "7") + &part(file, "\u{0}\r\n--!") + "--B--\r\n";
    let media = "multipart/form-data; boundary=B";
    let expect = json!({"id": 7, "file": "000d0a2d2d21", "name": "a b.bin", "type": "image/png"});
    assert_eq!(ok(&post("/upload", media, &form)), expect);
    problem(&post("/upload", media, &form.replace("--B--", "")), 400);
    problem(&post("/upload", media, &(part("name=\"id\"", &"7".repeat(20_000)) + "--B--\r\n")), 413);
    assert_eq!(
        problem(&post("/upload", media, &(part("name=\"id\"", "7") + "--B--\r\n")), 400)["parameter"],
        "body.file"
    );

    // Facts.
    let facts = ok(&service.get_with(
        "/facts?page=3&client_ip=1.2.3.4",
        &[
            ("Cookie", "a=b; session=\"s1\""),
            ("X-Forwarded-For", "9.9.9.9"),
            ("X-Request-Id", "forged"),
            ("X-One", "1"),
        ],
    ));
    assert_eq!(
        (&facts["ip"], &facts["cookie"], &facts["header"], &facts["page"]),
        (&json!("127.0.0.1"), &json!("s1"), &json!("1"), &json!(3))
    );
    assert_eq!(facts["id"].as_str().unwrap().len(), 32);
    let plain = service.get("/facts");
    let facts = ok(&plain);
    assert_eq!((&facts["cookie"], &facts["page"], &facts["header"]), (&json!("none"), &Value::Null, &Value::Null));
    assert_eq!(plain.header("cache-control"), Some("private"));
    assert_eq!(plain.header("vary").map(str::to_lowercase).as_deref(), Some("x-one, cookie"));
    // A name in the path is that of the path.
    assert_eq!(ok(&service.get("/seven")), json!({"body": "seven"}));
}

#[test]
fn check_refuses_parameters_that_cannot_be() {
    #[track_caller]
    fn check(keys: &str, expect: &[&str]) {
        let folder = Folder::new(&format!(
            "[database]\nurl = \"postgres://a@127.0.0.1/a\"\n[[route]]\npath = \"/\"\nquery = \"SELECT $1\"\n{keys}\n"
        ));
        refused(&dunlin(&["check", "--offline"], &folder), expect);
    }
    check("params = [\"body\"]", &["dunlin.toml:6:11", "a GET request has no body"]);
    check("params = [\"body.a\"]", &["dunlin.toml:6:11", "a GET request has no body"]);
    check("params = [\"cookie.\"]", &["dunlin.toml:6:11", "cookie."]);
    check("params = [\"request_id\"]", &["dunlin.toml:4:8", "request_id = true in [server]"]);
    check("params = [\"client_ip\"]\ncache = \"1h\"", &["dunlin.toml:4:8", "client's address"]);
    check("params = [\"q\"]\ndefault = { q = nul }", &["dunlin.toml:7:17"]);
    check("params = [\"q\"]\nrows = null", &["dunlin.toml:7:8"]);
    check("params = [\"q\"]\ndefault = { q = {} }", &["dunlin.toml:7:17", "null"]);
}
