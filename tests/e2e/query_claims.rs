//! Queries that know their client: claims as parameters, and row-level security.

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
    check("params = [\"claim.sub\"]\nauth = \"a\"\ncache = \"1h\"", &["dunlin.toml:7:8", "cannot share"]);
    check("params = [\"claims.sub\"]", &["dunlin.toml:9:11", "claim."]);
    check("params = [\"header.a b\"]", &["dunlin.toml:9:11"]);
    check("settings = { user = \"x\" }", &["app.user"]);
    check("settings = { role = \"x\" }", &["roles = "]);
}
