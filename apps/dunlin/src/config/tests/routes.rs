//! The messages about wrong routes.

use expect_test::expect;

use super::{check, check_with};

#[test]
fn what_is_kept_by_group_is_not_read_from_a_replica() {
    let route = "[[route]]\npath = \"/\"\nquery = \"SELECT 1\"\n";
    let urls = "[database]\nurl = \"postgres://x/y\"\nread_url = \"postgres://z/y\"\n";
    let config = |more: &str| format!("{urls}{route}{more}\n");
    check(&config("cache = { age = \"1h\" }"), expect!["fine"]);
    check(&config("cache = { age = \"1h\", groups = [\"a\"] }\nread_only = false"), expect!["fine"]);
    check(
        &config("cache = { age = \"1h\", groups = [\"a\"] }"),
        expect![[r#"
            dunlin.toml:5:8: the stored responses of this route are invalidated by group, but read from "read_url", which may be behind; expected read_only = false on the route, so that it is read from "url", or no groups
              |
            5 | path = "/"
              |        ^^^
        "#]],
    );
    let config = format!("{route}cache = {{ age = \"1h\", groups = [\"a\"] }}\n");
    check_with("postgres://x,y/z?target_session_attrs=primary", &config, &expect!["fine"]);
    check_with(
        "postgres://x,y/z?target_session_attrs=prefer-standby",
        &config,
        &expect![[r#"
            dunlin.toml:2:8: the stored responses of this route are invalidated by group, but read from any of the hosts in "url", which may be behind; expected target_session_attrs=read-write in "url", or no groups
              |
            2 | path = "/"
              |        ^^^
        "#]],
    );
}

#[test]
fn a_route_is_of_one_kind() {
    check(
        "[[route]]\npath = \"/\"\n",
        expect![[r#"
            dunlin.toml:1:1: this route has nothing to answer with; expected one of text, files, query, fetch, proxy, redirect
              |
            1 | [[route]]
              | ^^^^^^^^^
        "#]],
    );
    check(
        "[[route]]\npath = \"/\"\ntext = \"a\"\nfetch = \"http://b/\"\n",
        expect![[r#"
            dunlin.toml:4:1: this route has "text" and "fetch"; expected exactly one of text, files, query, fetch, proxy, redirect
              |
            4 | fetch = "http://b/"
              | ^^^^^
            dunlin.toml:3:1: the other is here
              |
            3 | text = "a"
              | ^^^^
        "#]],
    );
    check(
        "[[route]]\ntext = \"a\"\n",
        expect![[r#"
        dunlin.toml:1:1: "path" is missing in this route; expected a path such as "/", "/users/{id}" or "/static/{*path}"
          |
        1 | [[route]]
          | ^^^^^^^^^
    "#]],
    );
    check(
        "[route]\npath = \"/\"\n",
        expect![[r#"
            dunlin.toml:1:1: this is not a list of [[route]]; expected [[route]], once for each; did you mean "[[route]]"?
              |
            1 | [route]
              | ^^^^^^^
        "#]],
    );
    check(
        "[[route]]\npath = \"users/:id\"\ntext = \"a\"\n",
        expect![[r#"
        dunlin.toml:2:8: the path "users/:id" does not start with a slash; expected a path such as "/", "/users/{id}" or "/static/{*path}"; did you mean "/users/:id"?
          |
        2 | path = "users/:id"
          |        ^^^^^^^^^^^
    "#]],
    );
    check(
        "[[route]]\npath = \"/static\"\nfiles = \"src\"\n",
        expect![[r#"
            dunlin.toml:2:8: the path "/static" of a files route must end in {*name}; expected a path that ends in {*path}; did you mean "/static/{*path}"?
              |
            2 | path = "/static"
              |        ^^^^^^^^^
        "#]],
    );
    check(
        "[[route]]\npath = \"/{*path}\"\nfiles = \"scr\"\n",
        expect![[r#"
            dunlin.toml:3:9: "scr" does not exist; expected a folder, relative to this file; did you mean "src"?
              |
            3 | files = "scr"
              |         ^^^^^
        "#]],
    );
    check(
        "[[route]]\npath = \"/a\"\nproxy = \"127.0.0.1:9000\"\n",
        expect![[r#"
        dunlin.toml:3:9: "proxy" cannot be "127.0.0.1:9000"; expected a URL such as "http://127.0.0.1:9000"; did you mean "http://127.0.0.1:9000"?
          |
        3 | proxy = "127.0.0.1:9000"
          |         ^^^^^^^^^^^^^^^^
    "#]],
    );
}

#[test]
fn routes_that_clash() {
    check(
        "[[route]]\npath = \"/a/{id}\"\ntext = \"1\"\n[[route]]\npath = \"/a/{name}\"\ntext = \"2\"\n",
        expect![[r#"
            dunlin.toml:5:8: GET /a/{name} clashes with the route on line 2; expected another path, another method or another host
              |
            5 | path = "/a/{name}"
              |        ^^^^^^^^^^^
            dunlin.toml:2:8: the other is here
              |
            2 | path = "/a/{id}"
              |        ^^^^^^^^^
        "#]],
    );
}

#[test]
fn parameters_that_nothing_provides() {
    check(
        "[[route]]\npath = \"/u/{name}\"\nquery = \"SELECT $1\"\nparams = [\"body.name\"]\n",
        expect![[r#"
        dunlin.toml:4:11: nothing provides "body.name": a GET request has no body; expected a path or query parameter, or method = "POST"; did you mean "name"?
          |
        4 | params = ["body.name"]
          |           ^^^^^^^^^^^
    "#]],
    );
    check(
        "[[route]]\npath = \"/u\"\nquery = \"SELECT $1\"\nparams = [\"body\"]\n",
        expect![[r#"
            dunlin.toml:4:11: nothing provides "body": a GET request has no body; expected a path or query parameter, or method = "POST"
              |
            4 | params = ["body"]
              |           ^^^^^^
        "#]],
    );
    check(
        "[[route]]\npath = \"/u\"\nmethod = \"POST\"\nquery = \"SELECT $1\"\nparams = [\"bdy.name\"]\n",
        expect![[r#"
            dunlin.toml:5:11: nothing provides "bdy.name"; expected the name of a path or query parameter, "body", "client_ip", "request_id", or "body.", "header.", "cookie." or "claim." and a name behind it; did you mean "body.name"?
              |
            5 | params = ["bdy.name"]
              |           ^^^^^^^^^^
        "#]],
    );
    check(
        "[[route]]\npath = \"/u\"\nquery = \"SELECT 1\"\ninvalidates = [\"u\"]\n",
        expect![[r#"
        dunlin.toml:4:1: a GET request changes nothing, so it invalidates nothing; expected method = "POST" or the like
          |
        4 | invalidates = ["u"]
          | ^^^^^^^^^^^
    "#]],
    );
}

#[test]
fn routes_that_do_not_clash() {
    let fine = |paths: &[&str]| {
        let route = |path: &&str| format!("[[route]]\npath = \"{path}\"\ntext = \"x\"\n");
        check(&paths.iter().map(route).collect::<String>(), expect!["fine"]);
    };
    fine(&["/", "/{*rest}"]);
    fine(&["/{*rest}", "/", "/a", "/a/{*rest}"]);
    fine(&["/a/{x}", "/a/b", "/{*rest}"]);
    fine(&["/a/{*rest}", "/a/{x}", "/a/b", "/{x}"]);
    fine(&["/a/{x}/b", "/a/{y}/c", "/a/{z}"]);
}

#[test]
fn many_routes_are_not_compared_with_each_other() {
    use std::fmt::Write as _;

    let mut text = String::new();
    for route in 0..2000 {
        let _ = write!(text, "[[route]]\npath = \"/r{route}/{{id}}\"\ntext = \"a\"\n");
        let _ = write!(
            text,
            "[[site]]\nhost = \"h{route}.example\"\n[[site.route]]\npath = \"/{{*rest}}\"\ntext = \"a\"\n"
        );
    }
    let config = super::super::Config::parse("dunlin.toml", &text, std::path::Path::new(""), None).unwrap();
    let mut alike = super::super::clashes::Alike::default();
    assert!((0..config.routes.len()).all(|index| alike.add(&config.routes, index).is_none()));
    assert_eq!((config.routes.len(), alike.compared), (4000, 0));
}

#[test]
fn a_file_without_end_is_not_read() {
    check(
        "[database]\nurl = { file = \"/dev/zero\" }\n",
        expect![[r#"
        dunlin.toml:2:7: /dev/zero cannot be read: it has more than 16 MiB, which is the limit; expected a file with the value of this key
    "#]],
    );
}
