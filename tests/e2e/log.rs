//! The log, and readers that do not read it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dunlin_testkit::{Origin, eventually, raw};

use crate::service::{Folder, Service, executable, free_addr};

#[test]
fn an_unread_log_stops_neither_requests_nor_the_end() {
    let addr = free_addr();
    let config = format!(
        "[server]\nlisten = \"{addr}\"\nworkers = 2\ndrain = \"2s\"\n[[route]]\npath = \"/{{*rest}}\"\ntext = \"hello\"\n"
    );
    let folder = Folder::new(&config);
    let mut command = Command::new(executable());
    command.arg("serve").current_dir(folder.path()).env_remove("DATABASE_URL").stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut log = child.stderr.take().unwrap();
    eventually("it answers", || std::net::TcpStream::connect(addr).is_ok());
    // A pipe takes 64 KiB, and the service holds some megabytes: far less than these lines.
    let target = format!("/{}", "x".repeat(4000));
    let mut connection = raw::Connection::open(addr);
    for _ in 0..3000 {
        connection.send_request("GET", &target, &[], b"");
        assert_eq!(connection.read("GET").unwrap().status, 200);
    }
    // A reader that reads again gets what was held, and learns how much was not.
    let mut text = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while !String::from_utf8_lossy(&text).contains("log lines were dropped") {
        let count = log.read(&mut chunk).unwrap();
        assert!(count > 0, "the log ended");
        text.drain(..text.len().saturating_sub(1024));
        text.extend_from_slice(&chunk[..count]);
    }
    for _ in 0..3000 {
        connection.send_request("GET", &target, &[], b"");
        assert_eq!(connection.read("GET").unwrap().status, 200);
    }
    drop(connection);
    let begun = Instant::now();
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    eventually("it ends, though its log is full", || child.try_wait().unwrap().is_some());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(child.wait().unwrap().success());
}

/// The access line of a path, once it is there.
fn line(service: &Service, path: &str) -> serde_json::Value {
    let quoted = format!("\"url.path\":\"{path}\"");
    eventually("the line is there", || service.log().contains(&quoted));
    let log = service.log();
    let line = log.lines().find(|line| line.contains(&quoted)).expect("a line");
    serde_json::from_str(line).expect("a line of JSON")
}

const JSON: &str = "[log]\nformat = \"json\"\n";
const STATUS: &str = "http.response.status_code";
const SIZE: &str = "http.response.body.size";

#[test]
fn a_tunnel_gets_its_line_at_its_end() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let upstream = listener.local_addr().unwrap();
    let origin = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut chunk = [0; 1024];
        while !seen.ends_with(b"ping") {
            let count = socket.read(&mut chunk).unwrap();
            assert!(count > 0);
            seen.extend_from_slice(&chunk[..count]);
            if seen.ends_with(b"\r\n\r\n") {
                let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
                socket.write_all(head.as_bytes()).unwrap();
            }
        }
        socket.write_all(b"pong pong").unwrap();
    });
    let service = Service::start(&format!("{JSON}[[route]]\npath = \"/{{*rest}}\"\nproxy = \"http://{upstream}\"\n"));
    let mut connection = raw::Connection::open(service.addr);
    connection.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(connection.read_head().unwrap().status, 101);
    assert!(!service.log().contains("\"url.path\":\"/ws\""), "the tunnel is open");
    connection.send("ping");
    assert_eq!(connection.read_exact(9).unwrap(), b"pong pong");
    origin.join().unwrap();
    drop(connection);
    let line = line(&service, "/ws");
    assert_eq!(
        (&line[STATUS], &line["dunlin.tunnel.received"], &line[SIZE]),
        (&101.into(), &4.into(), &9.into()),
        "{line}"
    );
    assert!(line.get("dunlin.aborted").is_none(), "{line}");
}

#[test]
fn a_response_with_trailers_is_complete() {
    let origin = Origin::start(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n".to_vec()
    });
    let config = format!("{JSON}[[route]]\npath = \"/{{*rest}}\"\nproxy = \"{}\"\ncompress = false\n", origin.url());
    let service = Service::start(&config);
    for (path, fields) in [("/plain", &[][..]), ("/te", &[("TE", "trailers"), ("Connection", "te")][..])] {
        let response = raw::request(service.addr, "GET", path, fields, b"");
        assert_eq!((response.status, response.text().as_str()), (200, "hi"));
        let line = line(&service, path);
        assert_eq!((&line[STATUS], &line[SIZE]), (&200.into(), &2.into()), "{line}");
        assert!(line.get("dunlin.aborted").is_none(), "{line}");
    }
}

#[test]
fn a_route_may_do_without_access_lines() {
    let service = Service::start(&format!(
        "{JSON}[[route]]\npath = \"/quiet\"\ntext = \"x\"\nlog = false\n[[route]]\npath = \"/loud\"\ntext = \"x\"\n"
    ));
    service.get("/quiet");
    service.get("/loud");
    line(&service, "/loud");
    assert!(!service.log().contains("/quiet"), "{}", service.log());
}
