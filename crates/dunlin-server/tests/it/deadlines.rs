//! Each deadline, reached.

use std::io::Read;
use std::time::{Duration, Instant};

use dunlin_server::Config;

use crate::listening::{end, under_systemd};
use crate::support::{Client, Fixture, config, punctually, until};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

/// Every deadline long, so that the one under test is the one that is met.
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
    // So is a later one, counted from its own first byte.
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
fn empty_lines_put_off_no_deadline() {
    // One before the first request: it is measured from accepting.
    let server = Fixture::with(Config { first_byte_timeout: SHORT, ..patient() });
    let mut client = server.connect();
    let begun = Instant::now();
    client.send("\r\n");
    assert!(client.is_closed());
    assert!(begun.elapsed() >= SHORT);
    // One between two requests: it does not count as one.
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
    // More than two are no mistake.
    let server = Fixture::with(patient());
    for empty in 0..4 {
        let answer = server.send("\r\n".repeat(empty) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.status, if empty <= 2 { 200 } else { 400 });
    }
}

/// Checks that `frames`, sent again and again by an idle client of HTTP/2, keep no connection open.
#[track_caller]
fn keeps_nothing_open(frames: &[&[u8]]) {
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
fn frames_without_a_request_keep_no_connection_of_http2() {
    keeps_nothing_open(&[b"\0\0\x08\x06\0\0\0\0\x0012345678"]);
    keeps_nothing_open(&[b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01"]);
    // A frame that comes byte by byte: its length is 0x4000.
    keeps_nothing_open(&[b"\0", b"\x40", b"\0", b"\x77", b"\0", b"\0", b"\0", b"\0", b"\0", b"a", b"b", b"c"]);
}

#[test]
fn an_idle_connection_is_closed_busy_ones_are_not() {
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
fn a_client_that_closed_its_half_is_not_waited_for_without_end() {
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
    // Closing with bytes unread resets the connection; it is seen while the handler still waits.
    let mut reset = server.connect();
    reset.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /wait/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
    // One that streams is written to.
    let mut streamed = server.connect();
    streamed.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    for client in [&reset, &streamed] {
        client.0.peek(&mut [0]).unwrap();
    }
    drop((reset, streamed));
    until("both are gone", || server.running.stats()[0].connections == 0);
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
fn a_body_that_trickles_is_answered_408_one_that_flows_is_read() {
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
fn a_handler_that_takes_its_time_is_not_the_clients_fault() {
    let server = Fixture::with(Config { body_timeout: SHORT, write_timeout: SHORT, keep_alive: SHORT, ..patient() });
    let answer = server.send("GET /wait/1200 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.text(), "waited");
}

#[test]
fn a_reader_that_stops_is_cut() {
    let server = Fixture::with(Config { write_timeout: SHORT, ..patient() });
    let mut client = server.connect();
    client.send("GET /big/50000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    until("it asks", || server.running.stats()[0].requests > 0);
    until("it is cut", || server.running.stats()[0].connections == 0);
    let mut all = Vec::new();
    let _ = client.0.read_to_end(&mut all);
    assert!(all.len() < 50_000_000);
}

#[test]
fn an_old_connection_closes_with_its_next_answer() {
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
fn a_parked_connection_answers_and_still_obeys_its_deadline() {
    punctually(|keep_alive| {
        let server = Fixture::with(Config { park_after: Duration::from_millis(50), keep_alive, ..patient() });
        let mut client = server.connect();
        for _ in 0..3 {
            let begun = Instant::now();
            client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
            let answer = client.answer();
            assert!(answer.is_none_or(|answer| answer.text() == "abc"));
            let parked = || server.running.stats()[0].parked == 1;
            until("it is parked or closed", || parked() || server.running.stats()[0].connections == 0);
            if begun.elapsed() > keep_alive * 3 / 4 {
                return false;
            }
        }
        assert!(client.is_closed());
        assert_eq!(server.running.stats()[0].requests, 3);
        true
    });
}

/// No client is cut off for bytes that a server did not read while it was held up itself.
#[test]
fn a_server_that_stood_still_does_not_blame_its_clients() {
    punctually(|deadline| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let child = under_systemd(listener.into(), &format!("export DUNLIN_DEADLINES={}; ", deadline.as_millis()));
        let pid = i32::try_from(child.id()).unwrap();
        // SAFETY: the child has not been waited for, so its number is its own.
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
