//! `text` routes, and what every route does: methods, paths, connections.

use dunlin_testkit::raw::{self, Connection};

use crate::service::{Service, problem};

const ROUTES: &str = r#"
[[route]]
path = "/"
text = "Hello, World!"
[[route]]
path = "/only-post"
method = ["POST", "PUT"]
text = "posted"
"#;

#[test]
fn a_text_is_answered() {
    let service = Service::start(ROUTES);
    let response = service.get("/");
    assert_eq!((response.status, &*response.text()), (200, "Hello, World!"));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.header("content-length"), Some("13"));
    assert!(response.header("date").is_some());
    let head = raw::request(service.addr, "HEAD", "/", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("13")));
}

#[test]
fn wrong_methods_and_paths_are_problems() {
    let service = Service::start(ROUTES);
    let response = service.send("DELETE", "/", "");
    problem(&response, 405);
    let allow = response.header("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    let response = service.get("/only-post");
    problem(&response, 405);
    assert!(response.header("allow").unwrap().contains("PUT"));
    assert_eq!(service.send("PUT", "/only-post", "{}").text(), "posted");
    problem(&service.get("/nothing"), 404);
    // A path does not lead above the root.
    assert_eq!(service.get("/%2e%2e/").text(), "Hello, World!");
}

#[test]
fn both_kinds_of_event_loop_serve() {
    for kind in ["per-core", "shared"] {
        let service = Service::with(&format!("event_loop = \"{kind}\""), ROUTES, |_| ());
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let addr = service.addr;
                std::thread::spawn(move || (0..50).filter(|_| raw::get(addr, "/").status == 200).count())
            })
            .collect();
        let served: usize = calls.into_iter().map(|call| call.join().unwrap()).sum();
        assert_eq!(served, 400, "{kind}");
    }
}

#[test]
fn connections_are_kept_alive_unless_asked_otherwise() {
    let service = Service::start(ROUTES);
    let mut connection = Connection::open(service.addr);
    for _ in 0..3 {
        connection.send_request("GET", "/", &[], b"");
        assert_eq!(connection.read("GET").unwrap().text(), "Hello, World!");
    }
    connection.send_request("GET", "/", &[("Connection", "close")], b"");
    assert_eq!(connection.read("GET").unwrap().header("connection"), Some("close"));
    assert!(connection.closed());

    let mut old = Connection::open(service.addr);
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.read("GET").unwrap().text(), "Hello, World!");
    assert!(old.closed());
    let mut old = Connection::open(service.addr);
    old.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(old.read("GET").unwrap().header("connection"), Some("keep-alive"));
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.read("GET").unwrap().status, 200);
    assert!(old.closed());
}

#[test]
fn an_idle_connection_is_closed_after_keep_alive() {
    let service = Service::with("keep_alive = \"500ms\"", ROUTES, |_| ());
    let mut connection = Connection::open(service.addr);
    connection.send_request("GET", "/", &[], b"");
    assert_eq!(connection.read("GET").unwrap().status, 200);
    assert!(connection.closed());
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let service = Service::with("header_timeout = \"500ms\"", ROUTES, |_| ());
    let mut silent = Connection::open(service.addr);
    assert!(silent.closed());
    let mut slow = Connection::open(service.addr);
    slow.send("GET / HTTP/1.1\r\nHost: x\r\n");
    match slow.read("GET") {
        Ok(response) => assert_eq!(response.status, 408),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
    }
}

#[test]
fn many_requests_at_once_on_one_connection_are_answered_in_order() {
    let service = Service::start(ROUTES);
    let mut connection = Connection::open(service.addr);
    let one = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    connection.send(format!("{one}{one}GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n{one}"));
    let statuses: Vec<_> = (0..4).map(|_| connection.read("GET").unwrap().status).collect();
    assert_eq!(statuses, [200, 200, 404, 200]);
}

#[test]
fn unix_sockets_are_served() {
    use std::io::{Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let config = format!("[server]\nlisten = \"unix:{}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n{ROUTES}", path.display());
    let config = crate::service::Folder::new(&config);
    let mut command = std::process::Command::new(crate::service::executable());
    let mut child = command.arg("serve").current_dir(config.path()).spawn().unwrap();
    let mut socket = None;
    dunlin_testkit::eventually("it listens", || {
        socket = std::os::unix::net::UnixStream::connect(&path).ok();
        socket.is_some()
    });
    let mut socket = socket.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answer.ends_with("Hello, World!"), "{answer}");
}
