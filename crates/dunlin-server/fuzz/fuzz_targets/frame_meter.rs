//! Any frames of HTTP/2 that the meter of frames counts, in any pieces, with time and sent bytes
//! between them.
//!
//! Invariants:
//! - The pieces in which the bytes arrive make no difference to the counts or to the verdict.
//! - Without time and sent bytes, no more control frames pass than the rate allows for ten seconds.
//! - Only a connection that begins with SETTINGS passes.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../src/framing/frames.rs"]
mod frames;

use frames::{Fault, FrameMeter};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes that come at one time: the milliseconds and the sent bytes since the ones before.
type Step<'a> = (u16, u16, &'a [u8]);

/// Scans the steps in pieces of these sizes. Returns the verdict, and all counts.
fn scan(rate: u8, steps: &[Step<'_>], sizes: &[u8]) -> (Result<(), Fault>, String) {
    let mut meter = FrameMeter::new(u32::from(rate));
    let (mut now, mut sent) = (0, 0);
    let mut sizes = sizes.iter().map(|size| usize::from(*size).max(1)).cycle();
    let mut verdict = meter.scan(PREFACE, now, sent);
    for (time, bytes_sent, bytes) in steps {
        now += u32::from(*time);
        sent += u64::from(*bytes_sent);
        let mut rest = *bytes;
        // A step without bytes is one, too.
        loop {
            let (piece, behind) = rest.split_at(sizes.next().unwrap_or(usize::MAX).min(rest.len()));
            verdict = verdict.and_then(|()| meter.scan(piece, now, sent));
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
    }
    (verdict, format!("{meter:?}"))
}

fuzz_target!(|input: (u8, bool, Vec<u8>, Vec<Step<'_>>)| {
    let (rate, begins, sizes, mut steps) = input;
    if begins {
        // Most connections begin with an empty SETTINGS.
        steps.insert(0, (0, 0, b"\0\0\0\x04\0\0\0\0\0"));
    }
    let whole = scan(rate, &steps, &[]);
    assert_eq!(scan(rate, &steps, &sizes), whole);
    let bytes = steps.iter().map(|(_, _, bytes)| *bytes).collect::<Vec<_>>().concat();
    let is_still = steps.iter().all(|(time, sent, _)| *time == 0 && *sent == 0);
    if whole.0.is_ok() {
        let kinds: Vec<u8> = kinds(&bytes);
        assert!(kinds.first().is_none_or(|first| *first == 4));
        let control = kinds.iter().filter(|kind| **kind > 1).count();
        assert!(!is_still || control <= usize::from(rate) * 10, "{control} frames at a rate of {rate}");
    }
});

/// The types of the frames whose heads are complete.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        kinds.push(*kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        bytes = rest.get(length..).unwrap_or_default();
    }
    kinds
}
