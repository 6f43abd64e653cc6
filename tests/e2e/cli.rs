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
fn routes_tells_what_answers_where() {
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
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains(&addr) && said.contains("in use"), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}

#[test]
fn a_missing_configuration_is_told() {
    let out = dunlin(&["serve", "--config", "nowhere.toml"], &Folder::new(HELLO));
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("nowhere.toml"));
}
