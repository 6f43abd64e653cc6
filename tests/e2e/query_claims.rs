//! Queries that know their client: claims as parameters, and row-level security.

use dunlin_testkit::raw;
use serde_json::json;

use crate::database;
use crate::service::{Folder, Service, database_at, dunlin, problem, refused};

/// A file of keys: the key of each client is its name.
pub(crate) fn keys() -> String {
    ["ada", "eve"].map(|name| format!("{name}:{}\n", sha256(name))).concat()
}

fn sha256(text: &str) -> String {
    let mut child = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sha256sum starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("its input"), text.as_bytes()).expect("write");
    let out = child.wait_with_output().expect("its output");
    String::from_utf8_lossy(&out.stdout).split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn a_client_reads_its_own_rows() {
    database().psql(
        "CREATE TABLE c_notes (owner text, text text);
         INSERT INTO c_notes VALUES ('ada', 'a'), ('eve', 'e');
         ALTER TABLE c_notes ENABLE ROW LEVEL SECURITY; ALTER TABLE c_notes FORCE ROW LEVEL SECURITY;
         CREATE POLICY own ON c_notes USING (owner = current_setting('app.user', true));
         CREATE ROLE c_reader; GRANT SELECT ON c_notes TO c_reader;
         CREATE TABLE c_plain (owner text, text text); INSERT INTO c_plain VALUES ('ada', 'a'), ('eve', 'e')",
    );
    let routes = "[auth.clients]\nkind = \"key\"\nkeys = \"keys\"\n[defaults]\nauth = \"clients\"\n\
        [[route]]\npath = \"/plain\"\nquery = \"SELECT text FROM c_plain WHERE owner = $1\"\nparams = [\"claim.sub\"]\n\
        [[route]]\npath = \"/header\"\nquery = \"SELECT $1::text AS agent\"\nparams = [\"header.User-Agent\"]\nrows = \"one\"\n\
        [[route]]\npath = \"/own\"\nquery = \"SELECT text, current_user AS role FROM c_notes\"\n\
        settings = { \"app.user\" = \"claim.sub\", role = \"claim.sub\" }\nroles = [\"c_reader\"]\n\
        [[route]]\npath = \"/notes\"\nquery = \"SELECT text, current_user AS role FROM c_notes\"\n\
        settings = { \"app.user\" = \"claim.sub\", role = \"role\" }\nroles = [\"c_reader\"]\n";
    let config = database_at(&database().url()) + routes;
    let service = Service::with("", &config, |folder| folder.write("keys", keys()));
    let get = |target: &str, key: &str| service.get_with(target, &[("X-Api-Key", key), ("User-Agent", "test")]);
    for (name, text) in [("ada", "a"), ("eve", "e"), ("ada", "a")] {
        assert_eq!(get("/plain", name).text(), json!([{"text": text}]).to_string());
        let notes = get("/notes?role=c_reader", name);
        assert_eq!(notes.text(), format!(r#"[{{"text":"{text}","role":"c_reader"}}]"#));
        assert_eq!(notes.header("cache-control"), Some("private"));
    }
    assert_eq!(get("/header", "ada").text(), json!({"agent": "test"}).to_string());
    // A role that is not allowed, whatever the request says.
    problem(&get("/own", "ada"), 403);
    problem(&get("/notes?role=postgres", "ada"), 403);
    problem(&service.get("/notes?role=c_reader"), 401);
}

/// A service whose clients have rows of their own, in a table of this name.
fn private_rows(table: &str) -> Service {
    database().psql(&format!(
        "CREATE TABLE {table} (owner text, n int); INSERT INTO {table} VALUES ('ada', 1), ('eve', 1);
         ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON {table} USING (owner = current_setting('app.user', true));
         CREATE ROLE {table}_user; GRANT SELECT, UPDATE, INSERT ON {table} TO {table}_user"
    ));
    let own = format!(
        "rows = \"one\"\nsettings = {{ \"app.user\" = \"claim.sub\", role = \"header.X-Role\" }}\nroles = [\"{table}_user\"]\n"
    );
    let route = |path: &str, query: &str, keys: &str| {
        format!("[[route]]\npath = \"/{path}\"\nquery = \"{query}\"\n{own}{keys}\n")
    };
    let select = format!("SELECT owner, n, current_user AS role FROM {table}");
    let routes = [
        route("read", &select, ""),
        route(
            "cached",
            &select,
            "cache = { age = \"1h\", groups = [\"rows\"], per_identity = true, browser = \"1m\" }",
        ),
        route(
            "slow",
            &format!("SELECT owner, n, current_user AS role FROM {table}, pg_sleep(0.02)"),
            "isolation = \"repeatable read\"",
        ),
        route(
            "write",
            &format!("UPDATE {table} SET n = n + 1 RETURNING owner, n, current_user AS role"),
            "method = \"POST\"\ninvalidates = [\"rows\"]",
        ),
        route("fail", &format!("SELECT owner, n, 1 / (n - n) AS role FROM {table}"), ""),
    ]
    .concat();
    let left = "[[route]]\npath = \"/left\"\nquery = \"SELECT coalesce(current_setting('app.user', true), '') AS s, current_user AS role\"\n\
        isolation = \"read committed\"\nrows = \"one\"\nauth = false\n";
    let config =
        format!("[auth.clients]\nkind = \"key\"\nkeys = \"keys\"\n[defaults]\nauth = \"clients\"\n{routes}{left}");
    Service::with("", &(database_at(&database().url()) + &config), |folder| folder.write("keys", keys()))
}

#[test]
fn stored_responses_with_settings_are_the_clients_own() {
    let service = private_rows("c_cached");
    let get = |path: &str, key: &str| service.get_with(path, &[("X-Api-Key", key), ("X-Role", "c_cached_user")]);
    for round in 0..2 {
        for name in ["ada", "eve"] {
            let response = get("/cached", name);
            assert_eq!(response.text(), format!(r#"{{"owner":"{name}","n":1,"role":"c_cached_user"}}"#));
            let status = response.header("cache-status").unwrap();
            assert_eq!(status.contains("hit"), round == 1, "{status}");
            assert_eq!(response.header("cache-control").unwrap().split('=').next(), Some("private, max-age"));
        }
    }
    problem(&service.get("/cached"), 401);
    let other = service.get_with("/cached", &[("X-Api-Key", "ada"), ("X-Role", "postgres")]);
    problem(&other, 403);
    let written =
        raw::request(service.addr, "POST", "/write", &[("X-Api-Key", "ada"), ("X-Role", "c_cached_user")], b"");
    assert_eq!(written.status, 200, "{}", written.text());
    assert!(get("/cached", "ada").text().contains("\"n\":2"));
    assert!(get("/cached", "eve").text().contains("\"n\":1"));
}

#[test]
fn nothing_of_one_client_reaches_another_while_clients_vanish() {
    let service = private_rows("c_vanish");
    let addr = service.addr;
    let fields = |name: &'static str| [("X-Api-Key", name), ("X-Role", "c_vanish_user")];
    std::thread::scope(|scope| {
        for (seed, name) in [(0, "ada"), (1, "eve"), (2, "ada"), (3, "eve")] {
            scope.spawn(move || {
                for round in 0..60 {
                    let path = ["/read", "/slow", "/cached", "/write", "/fail"][(round + seed) % 5];
                    let method = if path == "/write" { "POST" } else { "GET" };
                    if round % 3 == 2 {
                        // The client goes away in the middle of its request.
                        let mut connection = raw::Connection::open(addr);
                        connection.send_request(method, path, &fields(name), b"");
                        drop(connection);
                        continue;
                    }
                    let response = raw::request(addr, method, path, &fields(name), b"");
                    if path == "/fail" {
                        assert!(response.status >= 400 && !response.text().contains("owner"), "{}", response.text());
                        continue;
                    }
                    let row: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
                    assert_eq!((&row["owner"], &row["role"]), (&json!(name), &json!("c_vanish_user")), "{path}: {row}");
                }
            });
        }
        scope.spawn(move || {
            for _ in 0..60 {
                let left: serde_json::Value = serde_json::from_slice(&raw::get(addr, "/left").body).unwrap();
                assert_eq!(left, json!({"s": "", "role": "postgres"}));
            }
        });
    });
}

#[test]
fn queries_with_claims_need_authentication() {
    #[track_caller]
    fn check(keys: &str, expect: &[&str]) {
        let from = if keys.starts_with("params") { " WHERE $1 = ''" } else { "" };
        let folder = Folder::new(&format!(
            "[database]\nurl = \"postgres://a@127.0.0.1/a\"\n[auth.a]\nkind = \"key\"\nkeys = \"keys\"\n\
             [[route]]\npath = \"/\"\nquery = \"SELECT 1{from}\"\n{keys}\n"
        ));
        folder.write("keys", self::keys());
        let out = dunlin(&["check", "--offline"], &folder);
        refused(&out, expect);
    }
    check("params = [\"claim.sub\"]", &["dunlin.toml:7:8", "no \"auth\""]);
    check("settings = { \"app.user\" = \"claim.sub\" }", &["dunlin.toml:7:8", "no \"auth\""]);
    check(
        "params = [\"claim.sub\"]\nauth = \"a\"\ncache = \"1h\"",
        &["dunlin.toml:7:8", "cannot share", "per_identity"],
    );
    let separate = "auth = \"a\"\ncache = { per_identity = true }";
    check(&format!("params = [\"claim.tenant\"]\n{separate}"), &["dunlin.toml:7:8", "claim.tenant", "claim.sub"]);
    let role = "settings = { \"app.user\" = \"claim.sub\", role = \"claim.role\" }\nroles = [\"a\"]";
    check(&format!("{role}\n{separate}"), &["dunlin.toml:7:8", "claim.role"]);
    check("params = [\"claims.sub\"]", &["dunlin.toml:9:11", "claim."]);
    check("params = [\"header.a b\"]", &["dunlin.toml:9:11"]);
    check("settings = { user = \"x\" }", &["app.user"]);
    check("settings = { role = \"x\" }", &["roles = "]);
}
