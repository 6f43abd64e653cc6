//! Encoders: [`whole`] for content that is complete in memory, [`Encoder`] for content that comes
//! in pieces.
//!
//! They work on the codecs that async-compression wraps (flate2, brotli, zstd) rather than through
//! it: encoders are reset and used again, which it cannot do, and complete content is encoded in
//! one call with its size known. The gzip of complete content is libdeflate's, which does nothing
//! else, and so is smaller and faster at it than any zlib.

mod brotli;
mod gzip;
mod pool;
#[cfg(test)]
mod tests;
mod whole;
mod zstd;

use dunlin_http::BoxError;
use dunlin_http::negotiate::Coding;

pub(crate) use pool::Encoder;
pub(crate) use whole::{Effort, whole};

/// How long the event loop may be held by one piece of work, in nanoseconds: half a millisecond.
pub(crate) const BUDGET: u64 = 500_000;

/// What a stream's encoder is made for. Equal ones can stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) coding: Coding,
    pub(crate) level: u8,
    pub(crate) window: Window,
}

/// How much of what went before an encoder may refer to. It decides the memory that a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// Of content whose size is not known: 256 KiB.
    Stream,
    /// Of events, small and often long-lived: 32 KiB, or 128 KiB for brotli.
    Events,
}

/// What to do after the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Nothing: output may stay inside until there is more to look at.
    Process,
    /// Bring out everything that is inside, so that the client can read to the input's end.
    Flush,
    /// End the content.
    Finish,
}

/// One coding's encoder.
enum Codec {
    Gzip(gzip::Gzip),
    Brotli(Box<brotli::Brotli>),
    Zstd(zstd::Zstd),
}

// === impl Window ===

impl Window {
    /// Its size, as a power of two.
    const fn log(self) -> u8 {
        match self {
            Self::Stream => 18,
            Self::Events => 15,
        }
    }

    /// Its size in bytes, or `most` if that is less.
    const fn size_up_to(self, most: usize) -> usize {
        let size = 1 << self.log();
        if size < most { size } else { most }
    }
}

// === impl Codec ===

impl Codec {
    fn new(spec: Spec) -> Result<Self, BoxError> {
        Ok(match spec.coding {
            Coding::Gzip => Self::Gzip(gzip::Gzip::new(spec.level)),
            Coding::Brotli => Self::Brotli(Box::new(brotli::Brotli::new(spec.level, spec.window.log()))),
            Coding::Zstd => Self::Zstd(zstd::Zstd::new(spec.level, spec.window.log())?),
        })
    }

    fn encode(&mut self, input: &[u8], op: Op, out: &mut Vec<u8>) -> Result<(), BoxError> {
        match self {
            Self::Gzip(gzip) => gzip.encode(input, op, out),
            Self::Brotli(brotli) => brotli.encode(input, op, out),
            Self::Zstd(zstd) => zstd.encode(input, op, out),
        }
    }

    /// Makes it as new. `false` when it cannot be.
    fn reset(&mut self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.reset(),
            // It has no reset, and wants its tables cleared for each content wherever their memory
            // comes from.
            Self::Brotli(_) => false,
            Self::Zstd(zstd) => zstd.reset(),
        }
    }
}

/// How much room to make before a call that encodes `input` bytes.
fn room(input: usize) -> usize {
    (input / 2).clamp(512, 32 << 10)
}

/// Roughly what a byte costs, in nanoseconds: rather too much than too little. Measured on scripts
/// and JSON.
const fn cost(coding: Coding, level: u8) -> u64 {
    match (coding, level) {
        (Coding::Gzip, 0..=3) => 9,
        (Coding::Gzip, 4..=6) => 14,
        (Coding::Gzip, _) => 26,
        (Coding::Zstd, 0..=2) => 3,
        (Coding::Zstd, 3..=4) => 4,
        (Coding::Zstd, 5..=7) => 15,
        (Coding::Zstd, 8..=12) => 40,
        (Coding::Zstd, _) => 300,
        (Coding::Brotli, 0..=1) => 6,
        (Coding::Brotli, 2..=3) => 12,
        (Coding::Brotli, 4) => 18,
        (Coding::Brotli, 5..=6) => 30,
        (Coding::Brotli, 7..=9) => 260,
        (Coding::Brotli, _) => 2500,
    }
}
