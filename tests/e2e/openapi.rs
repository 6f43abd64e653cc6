//! The OpenAPI document: its content, a public validator, a client that a public generator makes,
//! and the page.

use std::path::{Path, PathBuf};
use std::process::Command;

use dunlin_testkit::Browser;
use serde_json::{Value, json};

use crate::database;
use crate::service::{Folder, Service, database_at, dunlin, refused};

/// The tools of `.ci/run`: `openapi-spec-validator` and `openapi-python-client` in a virtual
/// environment. `None` skips a test.
fn tools() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/openapi-tools/bin");
    let has = |name: &str| folder.join(name).is_file();
    if has("openapi-spec-validator") && has("openapi-python-client") {
        return Some(folder.canonicalize().expect("a path"));
    }
    eprintln!(
        "SKIPPED: openapi-spec-validator and openapi-python-client are not installed: python3 -m venv \
         target/openapi-tools && target/openapi-tools/bin/pip install openapi-spec-validator openapi-python-client"
    );
    None
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let out = command.output().expect("it starts");
    let text = [&out.stdout[..], &out.stderr[..]].map(String::from_utf8_lossy).concat();
    assert!(out.status.success(), "{command:?}:\n{text}");
    text
}

/// A service with an interface of many parts.
fn service(prefix: &str) -> Service {
    database().psql(&format!(
        "CREATE TYPE {prefix}_state AS ENUM ('open', 'done');
         CREATE TABLE {prefix}_tasks (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL,
           state {prefix}_state NOT NULL DEFAULT 'open', due date, tags text[], extra jsonb, price numeric(8, 2),
           made timestamptz NOT NULL DEFAULT now());
         INSERT INTO {prefix}_tasks (title, due) VALUES ('one', '2026-02-01'), ('two', NULL)"
    ));
    let config = database_at(&database().url())
        + "[openapi]\npath = \"/openapi.json\"\npage = \"/docs\"\ntitle = \"Tasks </script>\"\n\
           [auth.clients]\nkind = \"key\"\nkeys = \"keys\"\n"
        + &format!(
            "[[route]]\npath = \"/tasks\"\nquery = \"SELECT * FROM {prefix}_tasks WHERE $1::{prefix}_state IS NULL OR state = $1 ORDER BY id\"\n\
             params = [\"state\"]\ndefault = {{ state = null }}\nformat = [\"json\", \"csv\"]\nlive = {{ groups = [\"tasks\"] }}\n\
             [[route]]\npath = \"/tasks/{{id}}\"\nquery = \"SELECT * FROM {prefix}_tasks WHERE id = $1\"\nparams = [\"id\"]\nrows = \"one\"\n\
             [[route]]\npath = \"/tasks\"\nmethod = \"POST\"\nauth = \"clients\"\n\
             query = \"INSERT INTO {prefix}_tasks (title, due) VALUES ($1, $2) RETURNING id, title, due\"\n\
             params = [\"body.title\", \"body.when.due\"]\ndefault = {{ \"body.when.due\" = null }}\nrows = \"one\"\nstatus = 201\n\
             [[route]]\npath = \"/tasks/{{id}}\"\nmethod = \"DELETE\"\nauth = \"clients\"\n\
             query = \"DELETE FROM {prefix}_tasks WHERE id = $1\"\nparams = [\"id\"]\n\
             [[route]]\npath = \"/joined\"\nquery = \"SELECT a.id, b.title FROM {prefix}_tasks a LEFT JOIN {prefix}_tasks b ON b.id = -1\"\n\
             [[route]]\npath = \"/raw\"\nmethod = \"PUT\"\nquery = \"SELECT octet_length($1::bytea) AS bytes\"\nparams = [\"body\"]\nrows = \"one\"\n"
        );
    Service::with("", &config, |folder| folder.write("keys", crate::query_claims::keys()))
}

#[test]
fn the_document_says_what_postgresql_says() {
    let service = service("oa_doc");
    let document = service.json("/openapi.json");
    let get = &document["paths"]["/tasks/{id}"]["get"];
    assert_eq!(get["parameters"][0]["schema"]["x-postgresql-type"], "bigint");
    let row = &get["responses"]["200"]["content"]["application/json"]["schema"]["properties"];
    let types: Vec<(&str, &Value)> =
        ["id", "title", "state", "due", "tags", "made"].into_iter().map(|name| (name, &row[name]["type"])).collect();
    let expect = json!([
        ["id", "integer"],
        ["title", "string"],
        ["state", "string"],
        ["due", ["string", "null"]],
        ["tags", ["array", "null"]],
        ["made", "string"]
    ]);
    assert_eq!(json!(types), expect);
    assert_eq!(row["state"]["enum"], json!(["open", "done"]));
    assert_eq!(row["made"]["format"], "date-time");
    let joined = &document["paths"]["/joined"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(joined["items"]["properties"]["title"]["type"], json!(["string", "null"]));
    let post = &document["paths"]["/tasks"]["post"];
    assert_eq!(post["security"], json!([{"clients": []}]));
    assert_eq!(document["components"]["securitySchemes"]["clients"]["name"], "x-api-key");
    let body = &post["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["required"], json!(["title"]));
    assert_eq!(body["properties"]["when"]["properties"]["due"]["type"], json!(["string", "null"]));
    assert!(document["paths"]["/raw"]["put"]["requestBody"]["content"]["application/octet-stream"].is_object());
    assert!(document["paths"]["/tasks/{id}"]["delete"]["responses"]["204"].is_object());

    // The command prints the same.
    let printed = dunlin(&["openapi"], service.folder());
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).expect("JSON"), document);
    let offline = dunlin(&["openapi", "--offline"], service.folder());
    let offline: Value = serde_json::from_slice(&offline.stdout).expect("JSON");
    assert_eq!(offline["paths"].as_object().map(|paths| paths.len()), Some(4));

    let first = service.get("/openapi.json");
    let etag = first.header("etag").expect("a tag");
    assert_eq!(service.get_with("/openapi.json", &[("If-None-Match", etag)]).status, 304);
}

#[test]
fn a_public_validator_accepts_it_and_a_public_generator_makes_a_client() {
    let Some(tools) = tools() else { return };
    let service = service("oa_client");
    let folder = service.folder().path();
    let document = folder.join("openapi.json");
    std::fs::write(&document, service.get("/openapi.json").body).expect("write");
    succeeds(Command::new(tools.join("openapi-spec-validator")).arg("--schema").arg("3.1.0").arg(&document));

    let path = std::env::join_paths(
        std::iter::once(tools.clone()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let generated = succeeds(
        Command::new(tools.join("openapi-python-client"))
            .env("PATH", path.expect("a path"))
            .args(["generate", "--meta", "none", "--path", "openapi.json", "--output-path", "client"])
            .current_dir(folder),
    );
    println!("{generated}");
    let script = format!(
        "import datetime\n\
         from client import AuthenticatedClient, Client\n\
         from client.api.tasks import get_tasks, get_tasks_id, post_tasks, delete_tasks_id\n\
         from client.models import PostTasksBody, GetTasksState\n\
         url = 'http://{}'\n\
         anyone = Client(base_url=url)\n\
         ada = AuthenticatedClient(base_url=url, token='ada', prefix='', auth_header_name='X-Api-Key')\n\
         one = get_tasks_id.sync(client=anyone, id=1)\n\
         assert (one.id, one.title, one.due, one.tags) == (1, 'one', datetime.date(2026, 2, 1), None), one\n\
         assert one.made.tzinfo is not None\n\
         assert [task.id for task in get_tasks.sync(client=anyone)] == [1, 2]\n\
         assert get_tasks.sync(client=anyone, state=GetTasksState.DONE) == []\n\
         made = post_tasks.sync(client=ada, body=PostTasksBody(title='three'))\n\
         assert made.title == 'three' and made.due is None, made\n\
         refused = post_tasks.sync_detailed(client=anyone, body=PostTasksBody(title='x'))\n\
         assert refused.status_code == 401\n\
         assert delete_tasks_id.sync_detailed(client=ada, id=made.id).status_code == 204\n\
         missing = get_tasks_id.sync_detailed(client=anyone, id=made.id)\n\
         assert missing.status_code == 404\n\
         print('the client works')\n",
        service.addr
    );
    let out = succeeds(Command::new(tools.join("python")).args(["-c", &script]).current_dir(folder));
    assert!(out.contains("the client works"), "{out}");
}

#[test]
fn the_page_shows_the_operations() {
    let service = service("oa_page");
    let page = service.get("/docs");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(!page.text().contains("http://") && !page.text().contains("https://"), "no resource from elsewhere");
    let browser = Browser::start();
    let page = browser.open(&format!("http://{}/docs#get_tasks_id", service.addr));
    page.wait("document.querySelectorAll('details').length === 6");
    assert_eq!(page.eval("document.title"), "Tasks </script>");
    let text = page.text();
    for part in ["GET", "/tasks/{id}", "bigint", "timestamp with time zone", "date or null", "Not Found", "clients"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    if let Some(path) = std::env::var_os("PICTURES") {
        page.picture(&Path::new(&path).join("docs.png"));
    }
}

#[test]
fn sections_that_cannot_work_are_refused() {
    #[track_caller]
    fn check(keys: &str, expect: &[&str]) {
        let folder = Folder::new(&format!("[openapi]\n{keys}\n[[route]]\npath = \"/\"\ntext = \"x\"\n"));
        refused(&dunlin(&["check", "--offline"], &folder), expect);
    }
    check("page = \"/docs\"", &["\"path\" is missing in [openapi]"]);
    check("path = \"/\"", &["clashes"]);
    check("path = \"/a\"\npages = \"/b\"", &["unknown key \"pages\"", "did you mean", "page"]);
    check("path = \"/a\"\nauth = \"x\"", &["there is no [auth.x]"]);
}
