//! The command line.

use std::net::TcpListener;

use crate::service::{Folder, dunlin};

const HELLO: &str = "[[route]]\npath = \"/\"\ntext = \"hello\"\n";

#[test]
fn check_is_content_with_a_good_configuration() {
    let out = dunlin(&["check"], &Folder::new(HELLO));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn routes_prints_the_routes() {
    let folder = Folder::new(&format!(
        "{HELLO}[[route]]\npath = \"/api/{{*rest}}\"\nproxy = \"http://127.0.0.1:9000\"\ncache = \"1m\"\ncompress = false\n"
    ));
    let out = dunlin(&["routes"], &folder);
    assert!(out.status.success());
    let table = String::from_utf8_lossy(&out.stdout);
    let line = table.lines().find(|line| line.contains("/api/{*rest}")).expect("the proxy's line");
    assert!(line.contains("proxy") && line.contains("1m"), "{table}");
    assert!(table.lines().any(|line| line.contains("GET") && line.contains("text")), "{table}");
}

#[test]
fn an_address_in_use_is_one_line() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let folder = Folder::new(&format!("[admin]\nlisten = \"127.0.0.1:0\"\n{HELLO}"));
    let out = dunlin(&["serve", "--listen", &addr], &folder);
    assert_eq!(out.status.code(), Some(1));
    let message = String::from_utf8_lossy(&out.stderr);
    assert!(message.contains(&addr) && message.contains("in use"), "{message}");
    assert_eq!(message.trim().lines().count(), 1, "{message}");
}

#[test]
fn a_missing_configuration_is_named() {
    let out = dunlin(&["serve", "--config", "nowhere.toml"], &Folder::new(HELLO));
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("nowhere.toml"));
}

#[test]
fn triggers_are_printed_and_made() {
    let database = crate::database();
    database.psql("CREATE TABLE cli_things (id int)");
    let folder = Folder::new(&format!("[database]\nurl = \"{}\"\n[cache]\nnotify = \"cli_channel\"\n", database.url()));
    let triggers = ["triggers", "--table", "cli_things", "--group", "things", "--group", "more"];
    let out = dunlin(&triggers, &folder);
    assert!(String::from_utf8_lossy(&out.stdout).contains("pg_notify('cli_channel', 'things more')"), "{out:?}");
    let count = || database.psql("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'cli_things'::regclass");
    assert_eq!(count(), "0");
    let apply = [&triggers[..], &["--apply"]].concat();
    for _ in 0..2 {
        let out = dunlin(&apply, &folder);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(count(), "1");
    }
    let missing = dunlin(&["triggers", "--table", "cli_nothing", "--group", "x", "--apply"], &folder);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cli_nothing"), "{missing:?}");
}

#[test]
fn a_query_that_does_not_prepare_keeps_the_service_from_starting() {
    let folder = Folder::new(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{}\"\n[[route]]\npath = \"/x\"\nquery = \"SELEC 1\"\n",
        crate::database().url()
    ));
    let out = dunlin(&["serve"], &folder);
    assert_eq!(out.status.code(), Some(2));
    let message = String::from_utf8_lossy(&out.stderr);
    assert!(message.contains("dunlin.toml:7:9") && message.contains("syntax error at or near \"SELEC\""), "{message}");
}

#[test]
fn without_a_command_it_prints_help() {
    let out = dunlin(&[], &Folder::new(HELLO));
    let message = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success() && message.contains("serve") && message.contains("dunlin.toml"), "{message}");
    // It is read by a pipe.
    assert!(!message.contains('\x1b'), "{message:?}");
}

#[test]
fn a_configuration_that_is_no_text_has_its_place() {
    let folder = Folder::new(HELLO);
    folder.write("dunlin.toml", b"[server]\nlisten = \"\xff\"\n");
    let out = dunlin(&["check"], &folder);
    assert_eq!(out.status.code(), Some(2));
    let message = String::from_utf8(out.stderr).unwrap();
    assert!(message.contains("dunlin.toml:2:11: this is no UTF-8"), "{message}");
}

/// A process that is killed when it is dropped.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn paths_are_relative_to_the_configuration() {
    use std::os::unix::net::UnixStream;

    let folder = Folder::new("[[route]]\npath = \"/\"\ntext = \"elsewhere\"\n");
    let config = "[server]\nlisten = \"unix:own.sock\"\n[admin]\nlisten = \"unix:admin.sock\"\n";
    folder.write("sub/own.toml", format!("{config}{HELLO}"));
    let mut serve = std::process::Command::new(crate::service::executable());
    serve.args(["serve", "--config", "sub/own.toml"]).current_dir(folder.path());
    let _service = Killed(serve.spawn().unwrap());
    let socket = |name: &str| folder.path().join("sub").join(name);
    dunlin_testkit::eventually("it listens beside its configuration", || {
        ["own.sock", "admin.sock"].iter().all(|name| UnixStream::connect(socket(name)).is_ok())
    });
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let folder = Folder::new(HELLO);
    for command in ["routes", "check"] {
        let script = format!("{} {command} | true; exit ${{PIPESTATUS[0]}}", crate::service::executable().display());
        for _ in 0..5 {
            let out =
                std::process::Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
            let message = String::from_utf8_lossy(&out.stderr);
            assert!(out.status.success() && message.is_empty(), "{command}: {message}");
        }
    }
}

#[test]
fn check_names_a_database_that_is_away_and_does_without_it() {
    let port = dunlin_testkit::free_port();
    let folder = Folder::new(&format!(
        "[database]\nurl = \"postgres://x:hush@127.0.0.1:{port}/y\"\n[[route]]\npath = \"/x\"\nquery = \"SELECT 1\"\n"
    ));
    let out = dunlin(&["check"], &folder);
    let message = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{message}");
    let place = format!("127.0.0.1:{port}");
    assert!(message.contains(&place) && message.contains("--offline") && !message.contains("hush"), "{message}");
    let out = dunlin(&["check", "--offline"], &folder);
    let message = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && message.contains("queries were not checked"), "{message}");
}

#[test]
fn an_error_in_sql_of_several_lines_has_its_line() {
    let folder = Folder::new(&format!(
        "[database]\nurl = \"{}\"\n[[route]]\npath = \"/x\"\nquery = \"\"\"\nSELECT 1 AS one,\n  nme FROM pg_class\n\"\"\"\n",
        crate::database().url()
    ));
    let out = dunlin(&["check"], &folder);
    let message = String::from_utf8_lossy(&out.stderr);
    assert!(message.contains("dunlin.toml:7:3: ") && message.contains("\"nme\""), "{message}");
    assert!(message.contains("7 |   nme FROM pg_class\n  |   ^^^\n") && !message.contains("character"), "{message}");
}

#[test]
fn the_routes_as_json() {
    let folder = Folder::new("[[route]]\nhost = \"a.example\"\npath = \"/x\"\ntext = \"y\"\n");
    let out = dunlin(&["routes", "--json"], &folder);
    let routes: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(routes[0]["path"], "/x");
    assert_eq!(routes[0]["hosts"][0], "a.example");
    assert_eq!(routes[0]["methods"][0], "GET");
    assert_eq!(routes[0]["kind"], "text");
}

#[test]
fn a_first_configuration_is_valid() {
    let folder = Folder::new("");
    std::fs::remove_file(folder.path().join("dunlin.toml")).unwrap();
    folder.write("public/index.html", "<p>x</p>");
    let out = dunlin(&["init"], &folder);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let check = dunlin(&["check"], &folder);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    assert!(String::from_utf8_lossy(&dunlin(&["routes"], &folder).stdout).contains("public"));
    // A configuration is never written over.
    assert_eq!(dunlin(&["init"], &folder).status.code(), Some(2));
}

/// A project of aiohttp: its application stays where it is, and its static files come from here.
#[test]
fn a_first_configuration_for_an_application() {
    let folder = Folder::new("");
    std::fs::remove_file(folder.path().join("dunlin.toml")).unwrap();
    folder.write("requirements.txt", "aiohttp==3.9.5\n");
    folder.write("static/app.js", "1");
    let out = dunlin(&["init"], &folder);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let routes = String::from_utf8_lossy(&dunlin(&["routes"], &folder).stdout).into_owned();
    assert!(routes.contains("/static/{*path}") && routes.contains("http://127.0.0.1:"), "{routes}");
    let check = dunlin(&["check", "--offline"], &folder);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn completions_and_the_manual_page() {
    let folder = Folder::new("");
    for (args, expect) in [
        (&["completions", "bash"][..], "_dunlin()"),
        (&["completions", "zsh"], "#compdef dunlin"),
        (&["completions", "fish"], "complete -c dunlin"),
        (&["man"], ".TH dunlin"),
    ] {
        let out = dunlin(args, &folder);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success() && text.contains(expect), "{args:?}: {text}");
    }
}
