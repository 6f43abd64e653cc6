//! HTTP's share in queries: locations, conditions, preferences, pages, raw bodies, and QUERY.

use dunlin_testkit::raw;
use serde_json::{Value, json};

use crate::database;
use crate::service::{Folder, Service, database_at, dunlin, problem, refused};

fn service(setup: &str, routes: &str) -> Service {
    database().psql(setup);
    Service::start(&(database_at(&database().url()) + routes))
}

fn send(service: &Service, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> raw::Response {
    let json = [("Content-Type", "application/json")];
    let fields = if body.is_empty() { fields.to_vec() } else { [fields, &json].concat() };
    raw::request(service.addr, method, target, &fields, body.as_bytes())
}

#[track_caller]
fn ok(response: &raw::Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn a_write_tells_the_location_and_returns_what_is_preferred() {
    let service = service(
        "CREATE TABLE h_users (id text PRIMARY KEY, n int)",
        r#"
[[route]]
path = "/users"
method = "POST"
query = "INSERT INTO h_users VALUES ($1, 1) RETURNING id, n"
params = ["body.id"]
rows = "one"
location = "/users/{id}?n={n}"
[[route]]
path = "/users/form"
method = "POST"
query = "INSERT INTO h_users VALUES ($1, 1) RETURNING id"
params = ["body.id"]
rows = "one"
location = "/users/{id}"
status = 303
[[route]]
path = "/users"
method = "PATCH"
query = "UPDATE h_users SET n = n + 1 RETURNING id, n"
"#,
    );
    let created = send(&service, "POST", "/users", &[], r#"{"id": "a/é"}"#);
    assert_eq!((created.status, created.header("location")), (201, Some("/users/a%2F%C3%A9?n=1")));
    assert_eq!(created.text(), r#"{"id":"a/é","n":1}"#);
    assert_eq!(created.header("preference-applied"), None);
    let minimal = send(&service, "POST", "/users", &[("Prefer", "wait=1, return=minimal")], r#"{"id": "b"}"#);
    assert_eq!((minimal.status, minimal.header("location")), (201, Some("/users/b?n=1")));
    assert_eq!((minimal.text(), minimal.header("preference-applied")), (String::new(), Some("return=minimal")));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let other = raw::request(service.addr, "POST", "/users/form", &form, b"id=c");
    assert_eq!((other.status, other.header("location"), other.body.len()), (303, Some("/users/c"), 0));
    let whole = send(&service, "PATCH", "/users", &[("Prefer", "return=representation")], "");
    assert_eq!(ok(&whole).as_array().unwrap().len(), 3);
    assert_eq!(whole.header("preference-applied"), Some("return=representation"));
    let minimal = send(&service, "PATCH", "/users", &[("Prefer", "return=minimal")], "");
    assert_eq!((minimal.status, minimal.header("preference-applied")), (204, Some("return=minimal")));
    assert_eq!(database().psql("SELECT sum(n) FROM h_users"), "9");
    problem(&send(&service, "POST", "/users", &[("Prefer", "return=minimal")], r#"{"id": "b"}"#), 409);
}

const NOTES: &str = r#"
[[route]]
path = "/notes/{id}"
query = "SELECT id, text FROM h_notes WHERE id = $1"
params = ["id"]
rows = "one"
[[route]]
path = "/notes/{id}"
method = "PUT"
query = "INSERT INTO h_notes VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET text = $2"
params = ["id", "body.text"]
[[route]]
path = "/notes/{id}"
method = "PATCH"
query = "UPDATE h_notes SET text = text || $2 WHERE id = $1 RETURNING text"
params = ["id", "body.text"]
rows = "one"
require_if_match = true
[[route]]
path = "/notes/{id}"
method = "DELETE"
query = "DELETE FROM h_notes WHERE id = $1"
params = ["id"]
rows = "one"
"#;

#[test]
fn writes_depend_on_the_representation_of_the_get() {
    let long = "x".repeat(3000);
    let service = service(
        &format!(
            "CREATE TABLE h_notes (id int PRIMARY KEY, text text); INSERT INTO h_notes VALUES (1, 'one'), (2, '{long}')"
        ),
        NOTES,
    );
    let tag = |path: &str| service.get(path).header("etag").unwrap().to_owned();
    let text = |id: u32| database().psql(&format!("SELECT text FROM h_notes WHERE id = {id}"));
    let old = tag("/notes/1");
    let put = |target: &str, field: &str, value: &str, text: &str| {
        send(&service, "PUT", target, &[(field, value)], &json!({ "text": text }).to_string())
    };
    assert_eq!(put("/notes/1", "If-Match", &old, "two").status, 204);
    problem(&put("/notes/1", "If-Match", &old, "three"), 412);
    problem(&put("/notes/1", "If-None-Match", "*", "three"), 412);
    assert_eq!(text(1), "two");
    assert_eq!(put("/notes/1", "If-Match", &format!("\"x\", {}", tag("/notes/1")), "four").status, 204);
    assert_eq!(put("/notes/1", "If-Match", "*", "five").status, 204);
    // A resource that does not exist.
    problem(&put("/notes/9", "If-Match", "*", "nine"), 412);
    problem(&put("/notes/9", "If-Match", &old, "nine"), 412);
    assert_eq!(put("/notes/9", "If-None-Match", "*", "nine").status, 204);
    problem(&put("/notes/9", "If-None-Match", "*", "ten"), 412);
    assert_eq!(text(9), "nine");
    problem(&put("/notes/x", "If-None-Match", "*", "ten"), 400);
    // The tag of a compressed response is weak, and stands for the same content.
    let compressed = service.get_with("/notes/2", &[("Accept-Encoding", "gzip")]);
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    let weak = compressed.header("etag").unwrap().to_owned();
    assert!(weak.starts_with("W/"));
    assert_eq!(put("/notes/2", "If-Match", &weak, "short").status, 204);
    problem(&put("/notes/2", "If-Match", &weak, "long"), 412);
    // A condition that the route demands.
    problem(&send(&service, "PATCH", "/notes/1", &[], r#"{"text": "!"}"#), 428);
    let patched = send(&service, "PATCH", "/notes/1", &[("If-Match", &tag("/notes/1"))], r#"{"text": "!"}"#);
    assert_eq!(ok(&patched), json!({"text": "five!"}));
    // A failed write leaves nothing behind.
    let delete = |value: &str| send(&service, "DELETE", "/notes/9", &[("If-Match", value)], "");
    problem(&delete("\"x\""), 412);
    assert_eq!(delete(&tag("/notes/9")).status, 204);
    assert_eq!(service.get("/notes/9").status, 404);
}

#[test]
fn of_many_writes_with_one_tag_one_succeeds() {
    let routes = NOTES.replace("h_notes", "h_race");
    let service =
        service("CREATE TABLE h_race (id int PRIMARY KEY, text text); INSERT INTO h_race VALUES (1, 'a')", &routes);
    for round in 0..8 {
        let tag = service.get("/notes/1").header("etag").unwrap().to_owned();
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let write = |n: usize| {
                let body = json!({"text": format!("-{round}.{n}")}).to_string();
                send(&service, "PATCH", "/notes/1", &[("If-Match", &tag)], &body).status
            };
            let threads: Vec<_> = (0..6).map(|n| scope.spawn(move || write(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 412, 503].contains(status)), "{statuses:?}");
    }
    assert_eq!(database().psql("SELECT length(text) FROM h_race"), (1 + 8 * 4).to_string());
}

#[test]
fn lists_have_pages() {
    let service = service(
        "CREATE TABLE h_items (id int PRIMARY KEY, kind text); INSERT INTO h_items SELECT n, 'k' || n % 2 FROM generate_series(1, 25) n",
        r#"
[[route]]
path = "/items"
query = "SELECT id FROM h_items WHERE kind LIKE $1 ORDER BY id DESC; -- the newest first"
params = ["kind"]
default = { kind = "%" }
page = { size = 10, max = 20 }
format = ["json", "csv"]
cache = "1h"
[[route]]
path = "/large"
query = "SELECT id, repeat('x', 20000) AS text FROM h_items ORDER BY id"
page = { size = 20 }
[[route]]
path = "/all/{kind}"
query = "SELECT id FROM h_items WHERE kind = $1 ORDER BY id"
params = ["kind"]
page = {}
"#,
    );
    let ids = |response: &raw::Response| -> Vec<i64> {
        ok(response).as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    let mut target = "/items?kind=k%25&other=1".to_owned();
    let mut seen = Vec::new();
    let mut links = Vec::new();
    loop {
        let page = service.get(&target);
        seen.extend(ids(&page));
        assert_eq!(page.header("x-total-count"), None);
        let link = page.header("link").unwrap().to_owned();
        let next = link.split(", ").find_map(|link| link.strip_suffix(">; rel=\"next\"")?.strip_prefix('<'));
        links.push(link.clone());
        let Some(next) = next else { break };
        target = next.to_owned();
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<_>>());
    assert_eq!(
        links,
        [
            "</items?kind=k%25&limit=10&offset=10>; rel=\"next\"",
            "</items?kind=k%25&limit=10&offset=20>; rel=\"next\", </items?kind=k%25&limit=10&offset=0>; rel=\"prev\"",
            "</items?kind=k%25&limit=10&offset=10>; rel=\"prev\"",
        ]
    );
    assert_eq!(ids(&service.get("/items?limit=1000")).len(), 20, "the largest page");
    assert_eq!(ids(&service.get("/items?limit=3&offset=24")), [1]);
    assert_eq!(ids(&service.get("/items?offset=99")), [0; 0]);
    for wrong in ["limit=0", "limit=-1", "limit=x", "offset=-1", "offset=9223372036854775808", "limit=1&limit=2"] {
        let name = wrong.split('=').next().unwrap();
        assert_eq!(problem(&service.get(&format!("/items?{wrong}")), 400)["parameter"], name, "{wrong}");
    }
    // The number of rows, if a client wants to know.
    let count = |target: &str| service.get_with(target, &[("Prefer", "count=exact")]);
    let page = count("/items?kind=k1&limit=2");
    assert_eq!((page.header("x-total-count"), page.header("preference-applied")), (Some("13"), Some("count=exact")));
    assert_eq!(service.get("/items?kind=k1&limit=2").header("x-total-count"), None);
    assert_eq!(count("/items?kind=k1&limit=2").header("x-total-count"), Some("13"));
    assert!(page.header("vary").unwrap().to_lowercase().contains("prefer"));
    assert_eq!(count("/all/k0?offset=12").header("x-total-count"), Some("12"));
    assert_eq!(
        service.get("/all/k0?offset=6&kind=k1").header("link"),
        Some("</all/k0?limit=50&offset=0>; rel=\"prev\"")
    );
    // A page is held in memory, whatever its size; only what is asked for is there.
    let large = service.get("/large");
    assert_eq!((ids(&large).len(), large.header("link")), (20, Some("</large?limit=20&offset=20>; rel=\"next\"")));
    let csv = service.get_with("/items?limit=2", &[("Accept", "text/csv")]);
    assert_eq!(
        (csv.text(), csv.header("content-type")),
        ("id\r\n25\r\n24\r\n".into(), Some("text/csv; charset=utf-8; header=present"))
    );
    // The tag changes with the links.
    let tag = |target: &str| service.get(target).header("etag").unwrap().to_owned();
    let before = tag("/all/k0?limit=12");
    assert_eq!(service.get_with("/all/k0?limit=12", &[("If-None-Match", &before)]).status, 304);
    database().psql("INSERT INTO h_items VALUES (100, 'k0')");
    assert_ne!(tag("/all/k0?limit=12"), before);
}

#[test]
fn a_column_is_the_body() {
    let service = service(
        "CREATE TABLE h_files (id int PRIMARY KEY, data bytea, mime text);
         INSERT INTO h_files VALUES (1, '\\x89504e4700ff', 'image/png'), (2, 'text', NULL), (3, NULL, 'a/b'), (4, 'x', E'a/b\\r\\nX: y'), (5, '', 'a/b')",
        r#"
[[route]]
path = "/files/{id}"
query = "SELECT data, mime FROM h_files WHERE id = $1"
params = ["id"]
rows = "one"
raw = { body = "data", type = "mime" }
[[route]]
path = "/files/{id}"
method = "PUT"
query = "INSERT INTO h_files VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET data = $2, mime = $3"
params = ["id", "body", "header.Content-Type"]
[[route]]
path = "/page"
query = "SELECT '<h1>' || $1 || '</h1>' AS html"
params = ["name"]
rows = "one"
raw = { body = "html", type = "text/html; charset=utf-8" }
"#,
    );
    let file = service.get("/files/1");
    assert_eq!((file.header("content-type"), &*file.body), (Some("image/png"), &b"\x89PNG\x00\xff"[..]));
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    let tag = file.header("etag").unwrap();
    assert_eq!(service.get_with("/files/1", &[("If-None-Match", tag)]).status, 304);
    let head = raw::request(service.addr, "HEAD", "/files/1", &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("6"), 0));
    assert_eq!(service.get("/files/2").header("content-type"), Some("application/octet-stream"));
    assert_eq!(service.get("/files/4").header("content-type"), Some("application/octet-stream"));
    problem(&service.get("/files/3"), 404);
    assert_eq!((service.get("/files/5").status, service.get("/files/5").body.len()), (200, 0));
    let put = |tag: &str| {
        let fields = [("If-Match", tag), ("Content-Type", "image/gif")];
        raw::request(service.addr, "PUT", "/files/1", &fields, b"GIF\x00").status
    };
    assert_eq!((put("\"x\""), put(tag), put(tag)), (412, 204, 412));
    assert_eq!(service.get("/files/1").header("content-type"), Some("image/gif"));
    assert_eq!(service.get("/files/1").body, b"GIF\x00");
    let page = service.get("/page?name=Ada");
    assert_eq!((page.text(), page.header("content-type")), ("<h1>Ada</h1>".into(), Some("text/html; charset=utf-8")));
}

#[test]
fn query_is_a_method() {
    let service = service(
        "CREATE TABLE h_words (word text); INSERT INTO h_words VALUES ('a'), ('b'), ('c')",
        r#"
[[route]]
path = "/words"
query = "SELECT word FROM h_words ORDER BY word"
cache = { age = "1h", groups = ["words"] }
[[route]]
path = "/words"
method = "QUERY"
query = "SELECT word FROM h_words WHERE word = ANY($1::text[]) ORDER BY word"
params = ["body.words"]
format = ["json", "csv"]
"#,
    );
    let all = service.get("/words");
    let types = "application/json, application/x-www-form-urlencoded, multipart/form-data";
    assert_eq!(all.header("accept-query"), Some(types));
    let ask = |fields: &[(&str, &str)]| send(&service, "QUERY", "/words", fields, r#"{"words": ["a", "c"]}"#);
    let some = ask(&[]);
    assert_eq!((ok(&some), some.header("accept-query")), (json!([{"word": "a"}, {"word": "c"}]), Some(types)));
    let tag = some.header("etag").unwrap();
    assert_eq!(ask(&[("If-None-Match", tag)]).status, 304);
    assert_eq!(ask(&[("Accept", "text/csv")]).text(), "word\r\na\r\nc\r\n");
    // It is safe: it runs read-only, and does not invalidate what is stored.
    assert!(service.get("/words").header("cache-status").unwrap().contains("hit"));
    // Its media type is not guessed.
    problem(&raw::request(service.addr, "QUERY", "/words", &[], b"{\"words\": []}"), 400);
    let unsupported = raw::request(service.addr, "QUERY", "/words", &[("Content-Type", "text/plain")], b"a");
    problem(&unsupported, 415);
    assert_eq!(unsupported.header("accept-query"), Some(types));
    assert!(service.send("OPTIONS", "/words", "").header("allow").unwrap().contains("QUERY"));
}

#[test]
fn check_refuses_answers_that_cannot_be() {
    database().psql("CREATE TABLE h_checked (id int, data bytea, mime text)");
    let start = database_at(&database().url());
    #[track_caller]
    fn check(start: &str, keys: &str, expect: &[&str]) {
        let folder = Folder::new(&format!("{start}[[route]]\npath = \"/\"\n{keys}\n"));
        refused(&dunlin(&["check"], &folder), expect);
    }
    let check = |keys: &str, expect: &[&str]| check(&start, keys, expect);
    let insert = "method = \"POST\"\nquery = \"INSERT INTO h_checked VALUES (1) RETURNING id\"\n";
    check(&format!("{insert}location = \"/{{id}}\""), &["one row"]);
    check(&format!("{insert}rows = \"one\"\nlocation = \"/{{nr}}\""), &["\"nr\"", "returns: id"]);
    check(&format!("{insert}rows = \"one\"\nlocation = \"/{{id\""), &["brace"]);
    check(&format!("{insert}rows = \"one\"\nlocation = \"/{{id}}\"\nstatus = 200"), &["201, or 303"]);
    check(&format!("{insert}require_if_match = true"), &["require_if_match", "GET"]);
    let select = "query = \"SELECT id, data, mime FROM h_checked\"\n";
    check(&format!("{select}rows = \"one\"\nlocation = \"/{{id}}\""), &["may write"]);
    check(&format!("{select}rows = \"one\"\npage = {{}}"), &["many rows"]);
    check(&format!("{select}page = {{ size = 0 }}"), &["size"]);
    check(&format!("{select}page = {{ size = 9, max = 8 }}"), &["size"]);
    check(&format!("{select}page = {{ sise = 9 }}"), &["did you mean \"size\""]);
    check("query = \"SELECT $1::int AS id\"\nparams = [\"limit\"]\npage = {}", &["\"limit\""]);
    check(&format!("{select}raw = {{ body = \"data\" }}"), &["one row"]);
    check(&format!("{select}rows = \"one\"\nraw = {{ body = \"id\" }}"), &["\"id\"", "bytea or text"]);
    check(&format!("{select}rows = \"one\"\nraw = {{ body = \"data\", type = \"data\" }}"), &["\"data\"", "text"]);
    check(&format!("{select}rows = \"one\"\nraw = {{ body = \"dat\", type = \"a/b\" }}"), &["\"dat\"", "data"]);
}
