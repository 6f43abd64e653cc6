//! Interim responses (RFC 9110 §15.2) of upstreams.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use dunlin_testkit::Origin;
use dunlin_testkit::origin::Request;
use dunlin_testkit::raw::Connection;

use crate::service::Service;

const HINTS: &str = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\
                     X-Own: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\nContent-Length: 2\r\n\r\nok";

fn hinting(_: &Request) -> Vec<u8> {
    format!("HTTP/1.1 100 Continue\r\n\r\n{HINTS}{ANSWER}").into()
}

fn proxied(origin: &str, cache: bool) -> Service {
    Service::start(&format!("[[route]]\npath = \"/{{*rest}}\"\nproxy = \"{origin}\"\ncache = {cache}\n"))
}

/// The statuses of a whole answer, and the interim one with fields.
fn statuses(connection: &mut Connection) -> Vec<u16> {
    let mut statuses = Vec::new();
    loop {
        let head = connection.read_head().unwrap();
        statuses.push(head.status);
        match head.status {
            103 => {
                assert_eq!(head.header("link"), Some("</a.css>; rel=preload"));
                assert_eq!(head.header("x-own"), Some("1"));
                assert_eq!(head.header("x-hop"), None, "it is for the proxy");
            }
            200 => {
                assert_eq!(head.header("x-own"), None, "it is of another response");
                assert_eq!(connection.read_exact(2).unwrap(), b"ok");
                return statuses;
            }
            _ => {}
        }
    }
}

/// Reads a request as far as this. An origin that answers before it was asked is a broken one.
fn read_to(socket: &mut TcpStream, end: &[u8]) {
    let mut request = Vec::new();
    while !request.ends_with(end) {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
}

#[test]
fn they_come_in_order_ahead_of_the_final_one_and_are_not_stored() {
    let origin = Origin::start(hinting);
    let service = proxied(&origin.url(), true);
    let mut connection = Connection::open(service.addr);
    for expected in [&[102, 103, 200][..], &[200], &[200]] {
        connection.send_request("GET", "/", &[], b"");
        assert_eq!(statuses(&mut connection), expected);
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn pipelined_requests_get_each_its_own() {
    let origin = Origin::start(hinting);
    let service = proxied(&origin.url(), false);
    let mut connection = Connection::open(service.addr);
    connection.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20));
    for _ in 0..20 {
        assert_eq!(statuses(&mut connection), [102, 103, 200]);
    }
}

#[test]
fn http10_has_none() {
    let origin = Origin::start(hinting);
    let service = proxied(&origin.url(), false);
    let mut connection = Connection::open(service.addr);
    connection.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(statuses(&mut connection), [200]);
}

#[test]
fn they_come_when_they_are_sent_and_only_to_the_one_who_began() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (go_on, signal) = mpsc::channel();
    let upstream = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        read_to(&mut socket, b"\r\n\r\n");
        socket.write_all(HINTS.as_bytes()).unwrap();
        signal.recv().unwrap();
        socket.write_all(ANSWER.as_bytes()).unwrap();
        socket
    });
    let service = proxied(&origin, true);
    let [mut first, mut second] = [(); 2].map(|()| Connection::open(service.addr));
    first.send_request("GET", "/", &[], b"");
    assert_eq!(first.read_head().unwrap().status, 102);
    assert_eq!(first.read_head().unwrap().status, 103, "before the origin has more to say");
    second.send_request("GET", "/", &[], b"");
    go_on.send(()).unwrap();
    assert_eq!(statuses(&mut first), [200]);
    assert_eq!(statuses(&mut second), [200], "collapsed, or a hit");
    drop(upstream.join());
}

#[test]
fn a_body_waits_for_100_and_no_other() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let upstream = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        read_to(&mut socket, b"\r\n\r\n");
        socket.write_all(format!("{HINTS}HTTP/1.1 100 Continue\r\n\r\n").as_bytes()).unwrap();
        read_to(&mut socket, b"hi");
        socket.write_all(ANSWER.as_bytes()).unwrap();
        socket
    });
    let service = proxied(&origin, false);
    let mut connection = Connection::open(service.addr);
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    let mut seen = [0; 3].map(|_| connection.read_head().unwrap().status);
    connection.send("hi");
    assert_eq!(statuses(&mut connection), [200]);
    drop(upstream.join());
    // 100 is this server's own, when it reads the content: in whatever order the two came about.
    seen.sort_unstable();
    assert_eq!(seen, [100, 102, 103]);
}
