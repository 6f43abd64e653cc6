//! What is wrong in a `dunlin.toml` is told with file, line, column and the nearest right thing; nothing starts.

use crate::service::{Folder, dunlin};

#[track_caller]
fn check(config: &str, expect: &[&str]) {
    let folder = Folder::new(config);
    for command in ["check", "serve"] {
        let out = dunlin(&[command], &folder);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{command}: {config}\n{said}");
        for part in expect {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
    }
}

const ROUTE: &str = "[[route]]\npath = \"/\"\ntext = \"hello\"\n";

#[test]
fn unknown_keys_have_a_nearest_one() {
    check(&format!("[server]\nlissen = \"127.0.0.1:1\"\n{ROUTE}"), &["dunlin.toml:2:1", "lissen", "listen"]);
    check(&format!("{ROUTE}cach = true\n"), &["dunlin.toml:4:1", "cach", "cache"]);
    check(&format!("[sever]\n{ROUTE}"), &["dunlin.toml:1:2", "server"]);
    check(&format!("{ROUTE}cache = {{ aje = \"1h\" }}\n"), &["dunlin.toml:4:11", "age"]);
}

#[test]
fn wrong_types_and_values_say_what_was_expected() {
    check(&format!("[server]\nworkers = \"two\"\n{ROUTE}"), &["dunlin.toml:2:11", "workers"]);
    check(&format!("[server]\nkeep_alive = \"75 parsecs\"\n{ROUTE}"), &["dunlin.toml:2:14", "75s"]);
    check(&format!("[server]\nmax_body = \"1 MooB\"\n{ROUTE}"), &["dunlin.toml:2:12", "MiB"]);
    check(&format!("[server]\nevent_loop = \"per-cor\"\n{ROUTE}"), &["dunlin.toml:2:14", "per-core", "shared"]);
    check("[[route]]\npath = \"/\"\n", &["dunlin.toml:1:1", "text", "files", "query", "fetch", "proxy"]);
    check(
        "[[route]]\npath = \"/\"\ntext = \"a\"\nproxy = \"http://127.0.0.1:1\"\n",
        &["dunlin.toml:4:1", "text", "proxy"],
    );
    check("[[route]]\npath = \"nowhere\"\ntext = \"a\"\n", &["dunlin.toml:2:8", "/"]);
    check("[server\n", &["dunlin.toml:1:"]);
}

#[test]
fn two_routes_that_clash_are_both_named() {
    check(&format!("{ROUTE}{ROUTE}"), &["dunlin.toml:5", "line 2"]);
    check(
        "[[route]]\npath = \"/a/{x}\"\ntext = \"1\"\n[[route]]\npath = \"/a/{y}\"\ntext = \"2\"\n",
        &["dunlin.toml:5", "/a/{x}", "/a/{y}"],
    );
}

#[test]
fn missing_folders_and_parameters_are_found() {
    check("[[route]]\npath = \"/{*path}\"\nfiles = \"public\"\n", &["dunlin.toml:3:9", "public"]);
    check(
        "[[route]]\npath = \"/x\"\nquery = \"SELECT $1::int\"\nparams = [\"body.a\"]\nrows = \"one\"\n",
        &["dunlin.toml:4:11", "body"],
    );
    check("[[route]]\npath = \"/x\"\nquery = \"SELECT 1\"\nrows = \"some\"\n", &["dunlin.toml:4:8", "one", "many"]);
}
