//! Any message of a process that hands its listening sockets over.
//!
//! Invariants:
//! - A message that is read is written as bytes that are read as the same message.
//! - The end of the list is one byte, and nothing else is the end.
//! - A socket has an address that the server can listen on.

#![no_main]

use dunlin_server::Addr;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../src/listen/handover/message.rs"]
mod message;

use message::{MAX_BYTES, Message};

fuzz_target!(|bytes: &[u8]| {
    let bytes = &bytes[..bytes.len().min(MAX_BYTES)];
    let Some(message) = Message::<Addr>::parse(bytes) else { return };
    assert_eq!(message == Message::End, bytes == b".");
    let written = message.to_bytes();
    assert_eq!(Message::parse(&written), Some(message));
});
