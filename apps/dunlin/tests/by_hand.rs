//! The example that is read first does what it says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use dunlin_testkit::{Origin, Postgres, eventually, free_port, raw};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Cargo builds it and says where it is, so that it is never an old one.
fn executable() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", "dunlin", "--example", "by_hand", "--message-format=json-render-diagnostics"]);
    let out = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(out.status.success(), "the example does not build");
    let said = String::from_utf8_lossy(&out.stdout);
    let path = said.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    });
    path.unwrap()
}

#[test]
fn each_tip_works() {
    let executable = executable();
    let postgres = Postgres::start();
    postgres.psql("CREATE TABLE users (id bigint PRIMARY KEY, name text); INSERT INTO users VALUES (7, 'Ada')");
    let page = "\u{2603}".repeat(200);
    let origin = Origin::start(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", page.len());
        (head + &page).into()
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.css"), "a { color: red }\n".repeat(100)).unwrap();

    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new(executable);
    command.env("LISTEN", addr.to_string()).env("PAGE", origin.url()).env("STATIC", folder.path());
    let mut running = Running(command.env("DATABASE_URL", postgres.url()).spawn().unwrap());
    eventually("it listens", || {
        assert!(running.0.try_wait().unwrap().is_none(), "it ended");
        std::net::TcpStream::connect(addr).is_ok()
    });

    let get = |target: &str| raw::get(addr, target);
    assert_eq!(get("/").text(), "Hello, World!");
    assert_eq!(get("/front").text(), "\u{2603}".repeat(100));
    let mut connection = raw::Connection::open(addr);
    for _ in 0..2 {
        connection.send_request("GET", "/", &[], b"");
        assert_eq!(connection.read("GET").unwrap().status, 200);
    }
    let css = raw::request(addr, "GET", "/static/a.css", &[("Accept-Encoding", "gzip")], b"");
    assert_eq!((css.status, css.header("content-encoding")), (200, Some("gzip")));
    assert!(get("/").header("cache-status").unwrap().contains("hit"));
    eventually("the database answers", || get("/users/7").text() == r#"{"id":7,"name":"Ada"}"#);
    // Each loop has a pool of its own, and another one may answer now.
    eventually("each loop has the database", || get("/users/8").status == 404);
}
