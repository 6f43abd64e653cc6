//! Any header of the PROXY protocol, of both versions, in any pieces.
//!
//! Invariants:
//! - The pieces in which the bytes arrive make no difference to the result or to the bytes read.
//! - A header ends where its own length or the end of its line says. No byte behind it is read.
//! - No shorter part of a header is a header.
//! - The address of version 1 stands in the line.

#![no_main]

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, ReadBuf};

#[path = "../../src/proxy_protocol.rs"]
mod proxy_protocol;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes that arrive in pieces of at most these sizes, in turn.
struct Pieces<'a> {
    bytes: &'a [u8],
    read: usize,
    sizes: &'a [u8],
    reads: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let size = match this.sizes {
            [] => usize::MAX,
            sizes => usize::from(sizes[this.reads % sizes.len()]).max(1),
        };
        let rest = &this.bytes[this.read..];
        let piece = &rest[..rest.len().min(size).min(buffer.remaining())];
        buffer.put_slice(piece);
        this.read += piece.len();
        this.reads += 1;
        Poll::Ready(Ok(()))
    }
}

/// Reads a header. Returns its result, and the number of bytes read.
fn read(bytes: &[u8], sizes: &[u8]) -> (Result<Option<SocketAddr>, io::ErrorKind>, usize) {
    let mut pieces = Pieces { bytes, read: 0, sizes, reads: 0 };
    let mut reading = Box::pin(proxy_protocol::read(&mut pieces));
    let Poll::Ready(result) = reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the bytes are there, and the reader waits");
    };
    drop(reading);
    (result.map_err(|error| error.kind()), pieces.read)
}

fuzz_target!(|input: (u8, u8, u8, Vec<u8>, &[u8])| {
    let (start, version, family, sizes, rest) = input;
    // Most inputs begin as a header, so that they reach what is behind.
    let bytes = match start % 5 {
        0 => rest.to_vec(),
        1 => [b"PROXY TCP4 ", rest].concat(),
        2 => [b"PROXY TCP6 ", rest].concat(),
        3 => [SIGNATURE, rest].concat(),
        _ => {
            let length = u16::try_from(rest.len().saturating_sub(3)).unwrap_or(u16::MAX);
            [SIGNATURE, &[version, family], &length.to_be_bytes(), rest].concat()
        }
    };
    let (result, length) = read(&bytes, &[]);
    assert_eq!(read(&bytes, &sizes), (result, length));
    if !bytes.starts_with(SIGNATURE) {
        assert!(length <= 107);
    }
    let Ok(addr) = result else { return };
    let header = &bytes[..length];
    assert_eq!(length, length_of(&bytes).expect("a header has an end"));
    assert_eq!(read(header, &sizes), (Ok(addr), length));
    for end in [0, length / 2, length - 1] {
        assert_eq!(read(&header[..end], &sizes).0, Err(io::ErrorKind::UnexpectedEof));
    }
    if let Some(addr) = addr.filter(|_| !bytes.starts_with(SIGNATURE)) {
        let line = std::str::from_utf8(header).expect("a line of version 1 is ASCII");
        let parts: Vec<&str> = line.trim_end().split(' ').collect();
        assert_eq!(parts[2].parse(), Ok(addr.ip()));
        assert_eq!(parts[4].parse(), Ok(addr.port()));
    }
});

/// The length of the header that the bytes begin with.
fn length_of(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(SIGNATURE) {
        return Some(16 + usize::from(u16::from_be_bytes([*bytes.get(14)?, *bytes.get(15)?])));
    }
    Some(bytes.windows(2).position(|window| window == b"\r\n")? + 2)
}
