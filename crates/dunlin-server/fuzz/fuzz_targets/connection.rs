//! Arbitrary bytes on a connection.
//!
//! Invariants: the server does not panic; it ends the connection once the client has closed its
//! half; and it sends no more final responses than there can be requests: one for each line of the
//! input, and one at the end.
#![no_main]

mod talk;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let output = talk::talk(input);
    let lines = input.iter().filter(|byte| **byte == b'\n').count();
    assert!(output.windows(13).filter(|window| is_final(window)).count() <= lines + 1);
});

/// Returns `true` if a final response begins here, of either version: `HTTP/1.1 200 `.
fn is_final(window: &[u8]) -> bool {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', class, a, b, b' '] = window else { return false };
    *class != b'1' && [class, a, b].iter().all(|digit| digit.is_ascii_digit())
}
