//! Limits of single routes.

use std::time::Duration;

use dunlin_testkit::{Origin, raw};

use crate::service::{Service, problem};

#[test]
fn each_route_has_its_own_limit_of_bodies() {
    let origin = Origin::start(|request| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
            request.body.len().to_string().len(),
            request.body.len()
        )
        .into_bytes()
    });
    let route = |path: &str, key: &str| format!("[[route]]\npath = \"{path}\"\nproxy = \"{}\"\n{key}\n", origin.url());
    let routes = route("/small", "max_body = 10") + &route("/large", "max_body = \"1MiB\"") + &route("/usual", "");
    let service = Service::with("max_body = 1000", &routes, |_| ());
    let send = |path: &str, size: usize| raw::request(service.addr, "POST", path, &[], &vec![b'x'; size]);
    for (path, limit) in [("/small", 10), ("/usual", 1000), ("/large", 1 << 20)] {
        let response = send(path, limit);
        assert_eq!((response.status, response.text()), (200, limit.to_string()), "{path}");
        assert_eq!(send(path, limit + 1).status, 413, "{path}");
    }
    // A body whose length is not announced is limited, too.
    let mut connection = raw::Connection::open(service.addr);
    connection
        .send("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello hello\r\n0\r\n\r\n");
    assert_eq!(connection.read("POST").unwrap().status, 413);
}

#[test]
fn a_route_may_wait_longer_for_a_silent_upstream() {
    let events = || {
        Origin::start(|_| {
            std::thread::sleep(Duration::from_millis(600));
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
        })
    };
    let (one, other) = (events(), events());
    let service = Service::start(&format!(
        "[fetch]\ntimeout = \"200ms\"\nread_timeout = \"200ms\"\n\
         [[route]]\npath = \"/short\"\nproxy = \"{}\"\n[[route]]\npath = \"/long\"\nproxy = \"{}\"\ntimeout = \"10s\"\nread_timeout = \"10s\"\n",
        one.url(),
        other.url()
    ));
    problem(&service.get("/short"), 504);
    assert_eq!(service.get("/long").text(), "ok");
}

#[test]
fn no_client_guesses_a_media_type() {
    let service = Service::start(&format!(
        "{}[[route]]\npath = \"/text\"\ntext = \"x\"\n[[route]]\npath = \"/query\"\nquery = \"SELECT 1 AS one\"\n",
        crate::service::database_at(&crate::database().url())
    ));
    for (target, status) in [("/text", 200), ("/query", 200), ("/nothing", 404)] {
        let response = service.get(target);
        assert_eq!((response.status, response.header("x-content-type-options")), (status, Some("nosniff")), "{target}");
    }
}
