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

#[test]
fn values_with_which_nothing_would_work_are_refused() {
    for (key, value, column) in [
        ("listen", "[]", 10),
        ("handover", "\"\"", 12),
        ("max_head", "100", 12),
        ("max_fields", "0", 14),
        ("max_target", "0", 14),
        ("max_requests_per_connection", "0", 31),
        ("http2.max_streams", "0", 21),
        ("http2.max_control_rate", "0", 26),
        ("header_timeout", "\"0s\"", 18),
        ("max_connection_age", "\"0ms\"", 22),
    ] {
        let name = key.rsplit('.').next().unwrap();
        check(
            &format!("[server]\n{key} = {value}\n{ROUTE}"),
            &[&format!("dunlin.toml:2:{column}: \"{name}\" cannot be")],
        );
    }
    check("[[route]]\npath = \"/x\"\nproxy = \"http://127.0.0.1:99999/\"\n", &["dunlin.toml:3:9", "no such port"]);
    check(
        "[[route]]\npath = \"/x\"\nproxy = \"http://127.0.0.1/a?b=c\"\n",
        &["dunlin.toml:3:9", "http://127.0.0.1/a\"?"],
    );
}

#[test]
fn what_only_the_parts_can_tell_has_its_place_too() {
    let files = |key: &str| format!("[[route]]\npath = \"/{{*path}}\"\nfiles = \".\"\n{key} = \"\"\n");
    check(&files("index"), &["dunlin.toml:2:8", "index.html"]);
    check(&files("not_found"), &["dunlin.toml:2:8", "404.html"]);
    let tls = format!("[server.tls]\ncertificate = \"dunlin.toml\"\nkey = \"dunlin.toml\"\n{ROUTE}");
    check(&tls, &["dunlin.toml:2:15", "there is no certificate in it"]);
}

#[test]
fn no_password_is_shown() {
    for config in [
        format!("[database]\nurl = \"postgres://a:hush-hush@127.0.0.1/x?sslmod=require\"\n{ROUTE}"),
        "[[route]]\npath = \"/x\"\nproxy = \"http://a:hush-hush@127.0.0.1/\"\n".to_owned(),
    ] {
        let folder = Folder::new(&config);
        let said = String::from_utf8(dunlin(&["check"], &folder).stderr).unwrap();
        assert!(said.contains("dunlin.toml:") && !said.contains("hush"), "{said}");
    }
}
