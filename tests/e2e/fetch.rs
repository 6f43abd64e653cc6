//! `fetch` routes: others' pages.

use std::time::Duration;

use dunlin_testkit::{Origin, free_port};

use crate::service::{Service, problem};

fn html(charset: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={charset}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn takes_characters_in_the_pages_own_charset() {
    let origin = Origin::start(|request| match &*request.target {
        "/latin" => html("iso-8859-1", b"caf\xe9s and more"),
        "/utf8" => html("utf-8", "\u{2603}\u{2603}\u{2603}\u{2603}\u{2603}".as_bytes()),
        _ => html("utf-8", b"whole"),
    });
    let url = origin.url();
    let service = Service::start(&format!(
        "[[route]]\npath = \"/latin\"\nfetch = \"{url}/latin\"\ntake = 5\n[[route]]\npath = \"/utf8\"\nfetch = \"{url}/utf8\"\ntake = 3\n\
         [[route]]\npath = \"/whole\"\nfetch = \"{url}/\"\n"
    ));
    let latin = service.get("/latin");
    assert_eq!((latin.status, &*latin.text()), (200, "caf\u{e9}s"));
    assert!(latin.header("content-type").unwrap().to_ascii_lowercase().contains("utf-8"));
    assert_eq!(service.get("/utf8").text(), "\u{2603}\u{2603}\u{2603}");
    assert_eq!(service.get("/whole").text(), "whole");
}

#[test]
fn connections_to_the_origin_are_kept() {
    let origin = Origin::start(|_| html("utf-8", b"page"));
    let service = Service::start(&format!("[[route]]\npath = \"/\"\nfetch = \"{}/\"\ntake = 2\n", origin.url()));
    for _ in 0..20 {
        assert_eq!(service.get("/").text(), "pa");
    }
    assert_eq!(origin.count(), 20);
    // One for each event loop.
    assert!(origin.connections() <= 2, "{} connections", origin.connections());
}

#[test]
fn an_origin_that_is_away_or_slow_is_the_gateways_problem() {
    let slow = Origin::start(|_| {
        std::thread::sleep(Duration::from_secs(5));
        Vec::new()
    });
    let service = Service::start(&format!(
        "[[route]]\npath = \"/away\"\nfetch = \"http://127.0.0.1:{}/\"\n[[route]]\npath = \"/slow\"\nfetch = \"{}/\"\ntimeout = \"300ms\"\n",
        free_port(),
        slow.url()
    ));
    problem(&service.get("/away"), 502);
    problem(&service.get("/slow"), 504);
}
