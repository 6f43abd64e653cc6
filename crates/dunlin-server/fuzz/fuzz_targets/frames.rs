//! Arbitrary frames of HTTP/2, behind a valid preface: the meter of frames, h2, and the streams.
//!
//! Invariants: the server does not panic; it ends the connection once the client has closed its
//! half; and it sends only whole frames.
#![no_main]

mod talk;

use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fuzz_target!(|input: &[u8]| {
    let output = talk::talk(&[PREFACE, input].concat());
    let mut rest = &output[..];
    while let [a, b, c, _, _, _, _, _, _, payload @ ..] = rest {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        assert!(length <= 16384, "a frame of {length} bytes");
        // The last one may be cut off by a reset.
        rest = payload.get(length..).unwrap_or_default();
    }
});
