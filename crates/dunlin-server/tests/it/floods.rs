//! Floods of HTTP/2 frames (RFC 9113 §10.5), over raw sockets against a process of its own: the
//! connection ends, the memory stays bounded, and honest clients are served meanwhile.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::listening::{end, under_systemd};
use crate::support::{Client, PATIENCE};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `GET http://a/`, in HPACK.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
/// A field that enters no table, with a value of 100 bytes.
static FIELD: LazyLock<Vec<u8>> = LazyLock::new(|| [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat());

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u8 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends `opening`, then `frames(0)`, `frames(1)`, … until the connection ends. Returns the codes
/// of the GOAWAYs that came.
#[track_caller]
fn flood(addr: SocketAddr, opening: &[u8], frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let reading = socket.try_clone().unwrap();
    let reading = std::thread::spawn(move || goaways(reading));
    let mut sent = socket.write_all(&[PREFACE, opening].concat());
    for round in 0..4_000 {
        if sent.is_err() {
            break;
        }
        sent = socket.write_all(&(0..100).flat_map(|n| frames(round * 100 + n)).collect::<Vec<_>>());
    }
    assert!(sent.is_err(), "the flood does not end");
    reading.join().unwrap()
}

/// Reads to the end.
fn goaways(mut socket: TcpStream) -> Vec<u8> {
    let (mut codes, mut head, mut payload) = (Vec::new(), [0; 9], Vec::new());
    while socket.read_exact(&mut head).is_ok() {
        payload.resize(usize::from(head[1]) << 8 | usize::from(head[2]), 0);
        if socket.read_exact(&mut payload).is_err() {
            break;
        }
        if head[3] == GOAWAY {
            codes.push(payload[7]);
        }
    }
    codes
}

/// Resident memory of a process, in bytes.
fn memory(child: &Child) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", child.id())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Floods on four connections at once, again and again.
fn withstand(opening: &[u8], frames: impl Fn(u32) -> Vec<u8> + Sync) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let child = under_systemd(listener.into(), "");
    let ask = || {
        let mut client = Client::connect(addr);
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(client.answer().unwrap().text(), "Hello, World!");
    };
    ask();
    let (before, over) = (memory(&child), AtomicBool::new(false));
    let codes = std::thread::scope(|scope| {
        let honest = scope.spawn(|| {
            let mut most = before;
            while !over.load(Ordering::Relaxed) {
                ask();
                most = most.max(memory(&child));
            }
            most
        });
        let flooding: Vec<_> =
            (0..4).map(|_| scope.spawn(|| [0; 2].map(|_| flood(addr, opening, &frames)).concat())).collect();
        let codes: Vec<_> = flooding.into_iter().map(|flooding| flooding.join()).collect();
        over.store(true, Ordering::Relaxed);
        let grown = honest.join().unwrap() - before;
        assert!(grown < 32 << 20, "{grown} bytes more");
        codes.into_iter().flat_map(Result::unwrap).collect()
    });
    // An honest client of HTTP/2 is served as before.
    let mut client = Client::connect(addr);
    client.send([PREFACE, &frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)].concat());
    let mut answer = Vec::new();
    while !answer.ends_with(b"Hello, World!") {
        let mut piece = [0; 1024];
        let n = client.0.read(&mut piece).unwrap();
        assert!(n > 0, "an answer");
        answer.extend_from_slice(&piece[..n]);
    }
    end(child);
    codes
}

/// Checks that the flood was answered with ENHANCE_YOUR_CALM, and with no other code. A client that
/// sends on may lose the GOAWAY to a reset.
#[track_caller]
fn calms(codes: &[u8]) {
    assert!(codes.contains(&ENHANCE_YOUR_CALM) && codes.iter().all(|code| *code == ENHANCE_YOUR_CALM), "{codes:?}");
}

#[test]
fn continuations() {
    let opening = frame(HEADERS, END_STREAM, 1, GET);
    let codes = withstand(&opening, |_| frame(CONTINUATION, 0, 1, &FIELD));
    calms(&codes);
    calms(&withstand(&opening, |_| frame(CONTINUATION, 0, 1, b"")));
}

#[test]
fn pings_and_settings() {
    calms(&withstand(b"", |n| frame(PING, 0, 0, &u64::from(n).to_be_bytes())));
    // SETTINGS_HEADER_TABLE_SIZE.
    calms(&withstand(b"", |n| frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, (n % 2) as u8])));
}

#[test]
fn rapid_resets() {
    let codes = withstand(b"", |n| {
        let stream = 2 * n + 1;
        let reset = frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, GET), reset].concat()
    });
    assert!(codes.iter().all(|code| *code == ENHANCE_YOUR_CALM), "{codes:?}");
}

#[test]
fn requests_that_the_server_resets() {
    // RFC 9113 §8.2.2: a connection-specific field is a stream error, each time.
    let request = [GET, b"\x00\x0aconnection\x01x"].concat();
    calms(&withstand(b"", |n| frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &request)));
}

#[test]
fn data_without_data_priorities_window_updates_and_unknown_frames() {
    let opening = frame(HEADERS, END_HEADERS, 1, &[0x83, 0x86, 0x84, 0x41, 1, b'a']);
    calms(&withstand(&opening, |_| frame(DATA, 0, 1, b"")));
    calms(&withstand(b"", |n| frame(PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 1])));
    // One byte more, on the connection and on a stream.
    calms(&withstand(b"", |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])));
    calms(&withstand(&opening, |_| frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])));
    calms(&withstand(b"", |_| frame(0x77, 0, 0, b"x")));
}
