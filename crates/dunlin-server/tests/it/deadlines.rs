//! Each deadline.

use std::io::Read;
use std::time::{Duration, Instant};

use dunlin_server::Config;

use crate::listening::{end, under_systemd};
use crate::support::{Client, Fixture, config, punctually, until};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

/// A configuration whose deadlines are long, so that only the one under test is reached.
fn patient() -> Config {
    Config {
        keep_alive: LONG,
        first_byte_timeout: LONG,
        header_timeout: LONG,
        body_timeout: LONG,
        write_timeout: LONG,
        ..config()
    }
}

#[test]
fn a_silent_connection_is_closed() {
    let server = Fixture::with(Config { first_byte_timeout: SHORT, ..patient() });
    let begun = Instant::now();
    assert!(server.connect().is_closed());
    assert!(begun.elapsed() >= SHORT);
}

#[test]
fn a_head_that_does_not_end_is_answered_408() {
    let server = Fixture::with(Config { header_timeout: SHORT, ..patient() });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    assert_eq!(client.answer().unwrap().status, 408);
    assert!(client.is_closed());
    // The deadline of a later head counts from its first byte.
    let mut client = server.connect();
    client.send("GET /wait/500 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().unwrap().status, 200);
    client.send("G");
    assert_eq!(client.answer().unwrap().status, 408);
    assert_eq!(server.running.stats()[0].timed_out, 2);
}

#[test]
fn a_head_that_trickles_does_not_renew_its_deadline() {
    let server = Fixture::with(Config { header_timeout: SHORT, ..patient() });
    let mut client = server.connect();
    client.0.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    client.send("GET / HTTP/1.1\r\n");
    let begun = Instant::now();
    let mut byte = [0];
    while client.0.read(&mut byte).is_err() {
        assert!(begun.elapsed() < LONG, "never answered");
        client.send("X: y\r\n");
    }
    assert!(begun.elapsed() >= SHORT / 2);
}

#[test]
fn empty_lines_do_not_extend_a_deadline() {
    // A line before the first request, whose deadline counts from accepting.
    let server = Fixture::with(Config { first_byte_timeout: SHORT, ..patient() });
    let mut client = server.connect();
    let begun = Instant::now();
    client.send("\r\n");
    assert!(client.is_closed());
    assert!(begun.elapsed() >= SHORT);
    // A line between two requests does not begin a request.
    punctually(|idle| {
        let server = Fixture::with(Config { keep_alive: idle, ..patient() });
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer().unwrap().status, 200);
        let begun = Instant::now();
        std::thread::sleep(idle * 2 / 3);
        client.send("\r\n");
        assert!(client.is_closed());
        begun.elapsed() < idle + idle / 2
    });
    // More than two lines are rejected.
    let server = Fixture::with(patient());
    for empty in 0..4 {
        let answer = server.send("\r\n".repeat(empty) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.status, if empty <= 2 { 200 } else { 400 });
    }
}

/// Checks that `frames`, sent again and again by an idle client of HTTP/2, keep no connection open.
#[track_caller]
fn check_idle_frames(frames: &[&[u8]]) {
    punctually(|idle| {
        let server = Fixture::with(Config { keep_alive: idle, h2c: true, ..patient() });
        let mut client = server.connect();
        client.0.set_read_timeout(Some(idle / 20)).unwrap();
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
        let begun = Instant::now();
        let mut read = [0; 1024];
        for frame in frames.iter().cycle() {
            match client.0.read(&mut read) {
                Ok(0) => break,
                Ok(n) if read[..n].windows(4).any(|bytes| bytes == b"\x08\x07\0\0") => break,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                _ => {}
            }
            assert!(begun.elapsed() < LONG, "it never ends");
            client.send(frame);
        }
        begun.elapsed() < idle * 3
    });
}

#[test]
fn frames_without_a_request_do_not_extend_the_idle_time() {
    check_idle_frames(&[b"\0\0\x08\x06\0\0\0\0\x0012345678"]);
    check_idle_frames(&[b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01"]);
    // A frame of 0x4000 bytes that comes byte by byte.
    check_idle_frames(&[b"\0", b"\x40", b"\0", b"\x77", b"\0", b"\0", b"\0", b"\0", b"\0", b"a", b"b", b"c"]);
}

#[test]
fn only_an_idle_connection_is_closed() {
    let server = Fixture::with(Config { keep_alive: SHORT, ..patient() });
    let mut idle = server.connect();
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut busy = server.connect();
    busy.send("GET /wait/1500 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.answer().unwrap().status, 200);
    assert!(idle.is_closed());
    assert_eq!(busy.answer().unwrap().text(), "waited");
}

#[test]
fn a_client_that_has_closed_its_half_has_a_deadline() {
    let server = Fixture::with(patient());
    let mut client = server.connect();
    client.send("GET /wait/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let begun = Instant::now();
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_client_that_is_gone_is_noticed_by_a_reset_or_by_writing() {
    let server = Fixture::with(patient());
    // Closing with bytes unread resets the connection. The server sees that during the handler.
    let mut reset = server.connect();
    reset.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /wait/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
    // The server writes to the client of a stream.
    let mut streamed = server.connect();
    streamed.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    for client in [&reset, &streamed] {
        client.0.peek(&mut [0]).unwrap();
    }
    drop((reset, streamed));
    until("both connections are gone", || server.running.stats()[0].connections == 0);
}

#[test]
fn a_body_that_stops_is_answered_408() {
    let server = Fixture::with(Config { body_timeout: SHORT, ..patient() });
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nab");
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn only_a_body_below_the_minimum_rate_is_answered_408() {
    punctually(|body_timeout| {
        let server = Fixture::with(Config { body_timeout, min_rate: 2_000, ..patient() });
        let (mut slow, mut quick) = (server.connect(), server.connect());
        for client in [&mut slow, &mut quick] {
            client.send("POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        }
        slow.0.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let (mut byte, mut sent, mut pause, mut last) = ([0; 12], 0, Duration::ZERO, Instant::now());
        let begun = last;
        loop {
            quick.send(format!("c8\r\n{}\r\n", "x".repeat(200)));
            sent += 200;
            pause = pause.max(std::mem::replace(&mut last, Instant::now()).elapsed());
            slow.send("1\r\nx\r\n");
            if slow.0.read_exact(&mut byte).is_ok() {
                break;
            }
            assert!(begun.elapsed() < LONG, "never answered");
        }
        assert!(byte.ends_with(b"408"), "{:?}", String::from_utf8_lossy(&byte));
        quick.send("0\r\n\r\n");
        let answer = quick.answer().unwrap();
        let flowed = pause < body_timeout / 4;
        assert!(!flowed || answer.text() == sent.to_string(), "{} {}", answer.head, answer.text());
        flowed
    });
}

#[test]
fn the_time_of_a_handler_does_not_count() {
    let server = Fixture::with(Config { body_timeout: SHORT, write_timeout: SHORT, keep_alive: SHORT, ..patient() });
    let answer = server.send("GET /wait/1200 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.text(), "waited");
}

#[test]
fn a_reader_that_stops_is_cut() {
    let server = Fixture::with(Config { write_timeout: SHORT, ..patient() });
    let mut client = server.connect();
    client.send("GET /big/50000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the request arrives", || server.running.stats()[0].requests > 0);
    until("the connection is cut", || server.running.stats()[0].connections == 0);
    let mut all = Vec::new();
    let _ = client.0.read_to_end(&mut all);
    assert!(all.len() < 50_000_000);
}

#[test]
fn an_old_connection_closes_behind_its_next_response() {
    let server = Fixture::with(Config { max_connection_age: SHORT, park_after: LONG, ..patient() });
    let mut client = server.connect();
    client.send("GET /wait/800 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().unwrap().field("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn a_connection_ends_after_its_last_request() {
    let server = Fixture::with(Config { max_requests_per_connection: 3, ..patient() });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5));
    for last in [None, None, Some("close")] {
        assert_eq!(client.answer().unwrap().field("connection"), last);
    }
    assert!(client.is_closed());
}

#[test]
fn a_parked_connection_answers_and_keeps_its_deadline() {
    punctually(|keep_alive| {
        let server = Fixture::with(Config { park_after: Duration::from_millis(50), keep_alive, ..patient() });
        let mut client = server.connect();
        for _ in 0..3 {
            let begun = Instant::now();
            client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
            let answer = client.answer();
            assert!(answer.is_none_or(|answer| answer.text() == "abc"));
            let parked = || server.running.stats()[0].parked == 1;
            until("the connection is parked or closed", || parked() || server.running.stats()[0].connections == 0);
            if begun.elapsed() > keep_alive * 3 / 4 {
                return false;
            }
        }
        assert!(client.is_closed());
        assert_eq!(server.running.stats()[0].requests, 3);
        true
    });
}

/// A server that was stopped for a time reads the bytes that came meanwhile before it judges.
#[test]
fn a_server_that_was_stopped_cuts_no_client() {
    punctually(|deadline| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let child = under_systemd(listener.into(), &format!("export DUNLIN_DEADLINES={}; ", deadline.as_millis()));
        let pid = i32::try_from(child.id()).unwrap();
        // SAFETY: the child has not been waited for, so the number is still its own.
        let signal = |signal| assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        let mut other = Client::connect(addr);
        other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(other.answer().unwrap().status, 200);
        let begun = Instant::now();
        let (head, body) = ("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n", "\r\nabcde");
        let parts = [("", format!("{head}{body}")), (head, body.to_owned())];
        let mut clients = parts.map(|(first, rest)| {
            let mut client = Client::connect(addr);
            client.send(first);
            (client, rest)
        });
        let mut sending = Client::connect(addr);
        sending.send(format!("{head}Expect: 100-continue\r\n\r\n"));
        assert_eq!(sending.answer().unwrap().status, 100);
        signal(libc::SIGSTOP);
        let punctual = begun.elapsed() < deadline / 2;
        std::thread::sleep(2 * deadline);
        clients.iter_mut().for_each(|(client, rest)| client.send(rest));
        sending.send("abcde");
        signal(libc::SIGCONT);
        for client in clients.iter_mut().map(|(client, _)| client).chain([&mut sending]) {
            let answer = client.answer();
            assert!(!punctual || answer.is_some_and(|answer| answer.text() == "5"));
        }
        end(child);
        punctual
    });
}
