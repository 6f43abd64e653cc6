//! The messages about wrong files, to the letter.

mod routes;

use std::path::Path;

use expect_test::{Expect, expect};

use super::*;

#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "expectations are made where they are checked")]
fn check(text: &str, expect: Expect) {
    check_with("postgres://x/y", text, &expect);
}

/// As [`check`], with this URL in the environment.
#[track_caller]
fn check_with(url: &str, text: &str, expect: &Expect) {
    let message = match Config::parse("dunlin.toml", text, Path::new(""), Some(url)) {
        Ok(_) => "fine".to_owned(),
        Err(error) => error.render(false),
    };
    expect.assert_eq(&message);
}

#[test]
fn unknown_keys_at_any_depth() {
    check(
        "[server]\nkeepalive = \"75s\"\n",
        expect![[r#"
        dunlin.toml:2:1: unknown key "keepalive" in [server]; did you mean "keep_alive"?
          |
        2 | keepalive = "75s"
          | ^^^^^^^^^
    "#]],
    );
    check(
        "[serve]\n",
        expect![[r#"
        dunlin.toml:1:2: unknown key "serve" in the file; did you mean "server"?
          |
        1 | [serve]
          |  ^^^^^
    "#]],
    );
    check(
        "[server.tls]\ncert = \"a.pem\"\nkey = \"b.pem\"\n",
        expect![[r#"
        dunlin.toml:1:1: "certificate" is missing in [server.tls]; expected a path
          |
        1 | [server.tls]
          | ^^^^^^^^^^^^
        dunlin.toml:2:1: unknown key "cert" in [server.tls]; did you mean "certificate"?
          |
        2 | cert = "a.pem"
          | ^^^^
        dunlin.toml:3:7: "b.pem" does not exist; expected a file, relative to this file
          |
        3 | key = "b.pem"
          |       ^^^^^^^
    "#]],
    );
    check(
        "[[route]]\npath = \"/\"\ntext = \"x\"\ncache = { age = \"1h\", group = [\"a\"] }\n",
        expect![[r#"
        dunlin.toml:4:23: unknown key "group" in cache; did you mean "groups"?
          |
        4 | cache = { age = "1h", group = ["a"] }
          |                       ^^^^^
    "#]],
    );
    check(
        "[log]\nzzz = 1\n",
        expect![[r#"
            dunlin.toml:2:1: unknown key "zzz" in [log]; expected one of level, format, access, file, sample, redact
              |
            2 | zzz = 1
              | ^^^
        "#]],
    );
    check(
        "[[route]]\npath = \"/\"\ntext = \"x\"\ntake = 100\n",
        expect![[r#"
        dunlin.toml:4:1: "take" belongs to a fetch route; this is a text route
          |
        4 | take = 100
          | ^^^^
    "#]],
    );
}

#[test]
fn wrong_types_and_values() {
    check(
        "[server]\nworkers = \"two\"\n",
        expect![[r#"
        dunlin.toml:2:11: "workers" is a string; expected an integer, zero or more
          |
        2 | workers = "two"
          |           ^^^^^
    "#]],
    );
    check(
        "[server]\nworkers = -1\n",
        expect![[r#"
        dunlin.toml:2:11: "workers" cannot be -1; expected an integer, zero or more
          |
        2 | workers = -1
          |           ^^
    "#]],
    );
    check(
        "[server]\nkeep_alive = 75\ndrain = \"10 sec\"\nmax_body = \"1M\"\n",
        expect![[r#"
        dunlin.toml:2:14: "keep_alive" cannot be 75 without a unit; expected a duration such as "500ms", "75s" or "1h"; did you mean "75s"?
          |
        2 | keep_alive = 75
          |              ^^
        dunlin.toml:3:9: "drain" cannot be "10 sec"; expected a duration such as "500ms", "75s" or "1h"; did you mean "10s"?
          |
        3 | drain = "10 sec"
          |         ^^^^^^^^
        dunlin.toml:4:12: "max_body" cannot be "1M"; expected a size such as "512KiB", "1MiB" or "10MB"; did you mean "1MiB"?
          |
        4 | max_body = "1M"
          |            ^^^^
    "#]],
    );
    check(
        "[server]\nevent_loop = \"per_core\"\n",
        expect![[r#"
        dunlin.toml:2:14: "event_loop" cannot be "per_core"; expected one of per-core, shared; did you mean "per-core"?
          |
        2 | event_loop = "per_core"
          |              ^^^^^^^^^^
    "#]],
    );
    check(
        "[server]\nlisten = \"localhost:8080\"\n",
        expect![[r#"
        dunlin.toml:2:10: "listen" cannot be "localhost:8080"; expected an address such as "127.0.0.1:8080", "[::]:80", "unix:/run/dunlin.sock" or "systemd:"; did you mean "127.0.0.1:8080"?
          |
        2 | listen = "localhost:8080"
          |          ^^^^^^^^^^^^^^^^
    "#]],
    );
    check(
        "server = 1\n",
        expect![[r#"
        dunlin.toml:1:10: "server" is an integer; expected a table
          |
        1 | server = 1
          |          ^
    "#]],
    );
    check(
        "[log]\nlevel = \"inf\"\naccess = \"yes\"\n",
        expect![[r#"
        dunlin.toml:2:9: "level" cannot be "inf"; expected one of error, warn, info, debug, trace; did you mean "info"?
          |
        2 | level = "inf"
          |         ^^^^^
        dunlin.toml:3:10: "access" is a string; expected true or false
          |
        3 | access = "yes"
          |          ^^^^^
    "#]],
    );
}

#[test]
fn syntax() {
    check(
        "[server\nworkers = 1\n",
        expect![[r#"
        dunlin.toml:1:8: unclosed table, expected `]`
          |
        1 | [server
          |        ^
    "#]],
    );
    check(
        "[server]\nworkers = 1\nworkers = 2\n",
        expect![[r#"
            dunlin.toml:3:1: duplicate key
              |
            3 | workers = 2
              | ^^^^^^^
            dunlin.toml:2:1: the first one is here
              |
            2 | workers = 1
              | ^^^^^^^
        "#]],
    );
    check(
        "[server]\nlisten = \n",
        expect![[r#"
        dunlin.toml:2:10: string values must be quoted, expected literal string
          |
        2 | listen =
          |         ^
    "#]],
    );
}

#[test]
fn all_is_said_at_once() {
    check(
        "[server]\nlisten = 1\n\n[[route]]\npath = \"x\"\ntext = 1\n\n[[route]]\ntext = \"a\"\nfoo = 1\n",
        expect![[r#"
            dunlin.toml:2:10: "listen" is an integer; expected an address such as "127.0.0.1:8080", "[::]:80", "unix:/run/dunlin.sock" or "systemd:"
              |
            2 | listen = 1
              |          ^
            dunlin.toml:5:8: the path "x" does not start with a slash; expected a path such as "/", "/users/{id}" or "/static/{*path}"; did you mean "/x"?
              |
            5 | path = "x"
              |        ^^^
            dunlin.toml:6:8: "text" is an integer; expected a string
              |
            6 | text = 1
              |        ^
            dunlin.toml:8:1: "path" is missing in this route; expected a path such as "/", "/users/{id}" or "/static/{*path}"
              |
            8 | [[route]]
              | ^^^^^^^^^
            dunlin.toml:10:1: unknown key "foo" in this route; expected one of path, host, method, compress, decode, cache, max_body, allow, deny, rate_limit, cors, auth, require, request_headers, response_headers, error_pages, log, content_type, text
               |
            10 | foo = 1
               | ^^^
        "#]],
    );
}

/// The keys of a section, as the message about an unknown key lists them.
fn keys(section: &str) -> Vec<String> {
    let text = format!("[{section}]\nzzqqzz = 1\n");
    let Err(error) = Config::parse("dunlin.toml", &text, Path::new(""), None) else { panic!("{section}") };
    let message = error.render(false);
    let (_, list) = message.split_once("expected one of ").expect("a list of keys");
    list.lines().next().unwrap_or_default().split(", ").map(str::to_owned).collect()
}

#[test]
fn the_documentation_has_each_key_of_each_section() {
    let document = include_str!("../../../CONFIGURATION.md");
    for section in [
        "openapi",
        "server",
        "server.tls",
        "server.tls.acme",
        "server.http2",
        "admin",
        "log",
        "compression",
        "cache",
        "database",
        "fetch",
    ] {
        let heading = format!("## `[{}]`", section.split('.').next().unwrap());
        let (_, rest) = document.split_once(&heading).expect("the heading of a section");
        let part = rest.split("\n## ").next().unwrap();
        for key in keys(section) {
            assert!(
                part.contains(&format!("`{key}`")) || part.contains(&format!("[server.{key}]")),
                "{key} of [{section}]"
            );
        }
    }
}
