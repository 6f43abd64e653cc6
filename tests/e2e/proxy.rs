//! `proxy` routes.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use dunlin_testkit::raw::{self, Connection};
use dunlin_testkit::{Origin, free_port, tool};

use crate::service::{Service, problem};

fn echo(request: &dunlin_testkit::origin::Request) -> Vec<u8> {
    let mut body = format!("{} {}\n", request.method, request.target);
    for (name, value) in &request.headers {
        body.push_str(&format!("{name}: {value}\n"));
    }
    body.push('\n');
    body.push_str(&String::from_utf8_lossy(&request.body));
    format!(
        "HTTP/1.1 200 OK\r\nX-Own: kept\r\nConnection: x-hop\r\nX-Hop: dropped\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

#[test]
fn what_rest_matched_is_appended_and_every_method_goes() {
    let origin = Origin::start(echo);
    let service = Service::start(&format!(
        "[[route]]\npath = \"/api/{{*rest}}\"\nproxy = \"{url}\"\n[[route]]\npath = \"/whole/{{*rest}}\"\nproxy = \"{url}\"\nkeep_path = true\n\
         [[route]]\npath = \"/based/{{*rest}}\"\nproxy = \"{url}/base/\"\n",
        url = origin.url()
    ));
    assert!(service.get("/api/x").text().starts_with("GET /x\n"));
    assert!(service.get("/api/a%2Fb/c?d=e&f").text().starts_with("GET /a%2Fb/c?d=e&f\n"));
    assert!(service.get("/whole/x").text().starts_with("GET /whole/x\n"));
    assert!(service.get("/based/x").text().starts_with("GET /base/x\n"));
    assert!(service.get("/api/").text().starts_with("GET /\n"));
    for method in ["POST", "DELETE", "PROPFIND", "X-OWN"] {
        let response = service.send(method, "/api/y", "{\"a\":1}");
        assert!(response.text().starts_with(&format!("{method} /y\n")), "{}", response.text());
        assert!(response.text().ends_with("{\"a\":1}"), "{}", response.text());
    }
}

#[test]
fn fields_between_neighbours_stay_between_neighbours() {
    let origin = Origin::start(echo);
    let service = Service::start(&format!("[[route]]\npath = \"/{{*rest}}\"\nproxy = \"{}\"\n", origin.url()));
    let fields = [("Connection", "close, x-mine"), ("X-Mine", "1"), ("X-Other", "2"), ("TE", "gzip"), ("Upgrade", "x")];
    let mut connection = Connection::open(service.addr);
    connection.send_request("GET", "/", &fields, b"");
    let response = connection.read("GET").unwrap();
    let seen = response.text();
    assert!(seen.contains("\nx-other: 2\n"), "{seen}");
    for gone in ["x-mine:", "\nconnection: close", "\nte: gzip", "\nupgrade:"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    assert_eq!(response.header("x-own"), Some("kept"));
    assert_eq!(response.header("x-hop"), None);
}

#[test]
fn bodies_stream_both_ways_at_once() {
    // An origin that answers each line as it comes, before the request has ended.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let origin = listener.local_addr().unwrap();
    let (seen, saw) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = socket.read(&mut chunk) {
            if all.is_empty() {
                socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
            }
            all.extend_from_slice(&chunk[..n]);
            if all.ends_with(b"ping\r\n") {
                socket.write_all(b"4\r\npong\r\n").unwrap();
                seen.send(()).unwrap();
            }
            if all.ends_with(b"0\r\n\r\n") {
                socket.write_all(b"0\r\n\r\n").unwrap();
            }
        }
    });
    let service =
        Service::start(&format!("[[route]]\npath = \"/{{*rest}}\"\nproxy = \"http://{origin}\"\ncompress = false\n"));
    let mut connection = Connection::open(service.addr);
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send("4\r\nping\r\n");
    let head = connection.read_head().unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(connection.read_chunk().unwrap().unwrap(), b"pong");
    connection.send("4\r\nping\r\n");
    assert_eq!(connection.read_chunk().unwrap().unwrap(), b"pong");
    connection.send("0\r\n\r\n");
    assert!(connection.read_chunk().unwrap().is_none());
    assert_eq!(saw.iter().take(2).count(), 2);
}

#[test]
fn an_upstream_that_breaks_off_breaks_the_answer_off() {
    let origin =
        Origin::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nonly this".to_vec());
    let service = Service::start(&format!("[[route]]\npath = \"/\"\nproxy = \"{}\"\n", origin.url()));
    let mut connection = Connection::open(service.addr);
    connection.send_request("GET", "/", &[], b"");
    assert!(connection.read("GET").is_err());
}

#[test]
fn an_upstream_that_is_away_slow_or_speaks_nonsense_is_a_problem() {
    let slow = Origin::start(|_| {
        std::thread::sleep(std::time::Duration::from_secs(5));
        Vec::new()
    });
    let nonsense = Origin::start(|_| b"hello?\r\n\r\n".to_vec());
    let service = Service::start(&format!(
        "[[route]]\npath = \"/away\"\nproxy = \"http://127.0.0.1:{}\"\n[[route]]\npath = \"/slow\"\nproxy = \"{}\"\ntimeout = \"300ms\"\n\
         [[route]]\npath = \"/nonsense\"\nproxy = \"{}\"\n",
        free_port(),
        slow.url(),
        nonsense.url()
    ));
    problem(&service.get("/away"), 502);
    problem(&service.get("/slow"), 504);
    problem(&service.get("/nonsense"), 502);
}

#[test]
fn a_route_that_names_methods_takes_no_other() {
    let origin = Origin::start(echo);
    let service = Service::start(&format!("[[route]]\npath = \"/\"\nproxy = \"{}\"\nmethod = \"GET\"\n", origin.url()));
    assert_eq!(service.get("/").status, 200);
    problem(&raw::request(service.addr, "POST", "/", &[], b"x"), 405);
}

#[test]
fn unknown_methods_and_requests_that_may_go_no_further() {
    let origin = Origin::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let service = Service::start(&format!("[[route]]\npath = \"/p/{{*rest}}\"\nproxy = \"{}\"\n", origin.url()));
    for (method, target, status) in
        [("FROB", "/nowhere", 501), ("GET", "/nowhere", 404), ("TRACE", "/p/1", 405), ("FROB", "/p/1", 200)]
    {
        assert_eq!(service.send(method, target, "").status, status, "{method} {target}");
    }
    let before = origin.count();
    // RFC 9110 §7.6.2: with Max-Forwards 0, the proxy is the final recipient.
    let answer = raw::request(service.addr, "OPTIONS", "/p/1", &[("Max-Forwards", "0")], b"");
    assert_eq!((answer.status, origin.count()), (200, before));
    let allow = answer.header("allow").unwrap();
    assert!(allow.contains("GET") && !allow.contains("TRACE"), "{allow}");
}

#[test]
fn a_route_may_have_request_bodies_decoded() {
    let origin = Origin::start(echo);
    let route =
        |path, decode| format!("[[route]]\npath = \"{path}\"\nproxy = \"{}\"\ndecode = {decode}\n", origin.url());
    let routes = route("/decoded", true) + &route("/as-it-came", false);
    let service = Service::with("max_body = \"64KiB\"", &routes, |_| ());
    let text = "What is sent compressed is worth the work. ".repeat(200);
    for (program, coding) in [("gzip", "gzip"), ("brotli", "br"), ("zstd", "zstd")] {
        let body = tool(&format!("{program} -c"), text.as_bytes());
        let headers = [("Content-Encoding", coding)];
        let answer = raw::request(service.addr, "POST", "/decoded", &headers, &body);
        let seen = answer.text();
        assert!(answer.status == 200 && seen.ends_with(&text) && !seen.contains("content-encoding"), "{seen}");
        let answer = raw::request(service.addr, "POST", "/as-it-came", &headers, &body);
        assert!(answer.text().contains(&format!("content-encoding: {coding}")), "{coding}");
    }
    let bomb = tool("gzip -c", &vec![0; 10 << 20]);
    let answer = raw::request(service.addr, "POST", "/decoded", &[("Content-Encoding", "gzip")], &bomb);
    problem(&answer, 413);
    let answer = raw::request(service.addr, "POST", "/decoded", &[("Content-Encoding", "compress")], b"x");
    problem(&answer, 415);
    assert!(answer.header("accept-encoding").is_some_and(|codings| codings.contains("gzip")));
}

#[test]
fn an_upstream_may_be_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut seen = Vec::new();
            let mut chunk = [0; 4096];
            while !seen.ends_with(b"\r\n\r\n") {
                match socket.read(&mut chunk) {
                    Ok(count @ 1..) => seen.extend_from_slice(&chunk[..count]),
                    _ => break,
                }
            }
            let target = String::from_utf8_lossy(&seen).split(' ').nth(1).unwrap_or_default().to_owned();
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", target.len());
            let _ = socket.write_all((head + &target).as_bytes());
        }
    });
    let service = Service::start(&format!(
        "[[route]]\npath = \"/{{*rest}}\"\nproxy = \"http://unix:{socket}\"\n\
         [[route]]\npath = \"/based/{{*rest}}\"\nproxy = \"http://unix:{socket}:/base/\"\n",
        socket = path.display()
    ));
    assert_eq!(service.get("/x?y").text(), "/x?y");
    assert_eq!(service.get("/based/x").text(), "/base/x");
}

/// The slash at the end of a proxy's URL counts, as it does in nginx.
#[test]
fn the_slash_at_the_end_of_a_url_is_sent() {
    let origin = Origin::start(echo);
    let route = |path: &str, base: &str| format!("[[route]]\npath = \"{path}\"\nproxy = \"{}{base}\"\n", origin.url());
    let service = Service::start(&(route("/a/{*r}", "/base/") + &route("/x", "/exact/") + &route("/y", "/exact")));
    for (target, expect) in
        [("/a/", "/base/"), ("/a/?q=1", "/base/?q=1"), ("/a/b", "/base/b"), ("/x", "/exact/"), ("/y?q", "/exact?q")]
    {
        let seen = service.get(target).text();
        assert!(seen.starts_with(&format!("GET {expect}\n")), "{target}: {seen}");
    }
}
