//! Encoders: [`whole`] for content that is complete in memory, [`Encoder`] for streams.
//!
//! They use the codecs that async-compression wraps (flate2, brotli, zstd) without it, because it
//! can neither reset an encoder, nor encode complete content in one call with its size known. The
//! gzip of complete content comes from libdeflate, which is faster than any zlib and has a smaller
//! output, but cannot encode streams.

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

/// The limit for one piece of work on the event loop, in nanoseconds: half a millisecond.
pub(crate) const BUDGET: u64 = 500_000;

/// The properties of a stream's encoder. Encoders with equal ones are interchangeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) coding: Coding,
    pub(crate) level: u8,
    pub(crate) window: Window,
}

/// The window of an encoder: the amount of past content that it may refer to. It decides the memory
/// of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// 256 KiB, for content of unknown size.
    Stream,
    /// 32 KiB, or 128 KiB for brotli. For event streams, which are small and often long-lived.
    Events,
}

/// The operation after the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Nothing. Output may stay in the encoder until there is more input.
    Process,
    /// Brings all output out, so that the client can decode up to the end of the input.
    Flush,
    /// Ends the content.
    Finish,
}

/// The encoder of a coding.
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

    /// Its size in bytes, or `limit` if that is less.
    const fn size_up_to(self, limit: usize) -> usize {
        let size = 1 << self.log();
        if size < limit { size } else { limit }
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

    /// Resets it for another content. Returns `false` if it cannot be used again.
    fn reset(&mut self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.reset(),
            // It has no reset, and its tables have to be cleared for each content anyway.
            Self::Brotli(_) => false,
            Self::Zstd(zstd) => zstd.reset(),
        }
    }
}

/// The output space to reserve for a call that encodes `input` bytes.
fn output_reserve(input: usize) -> usize {
    (input / 2).clamp(512, 32 << 10)
}

/// The approximate time to encode a byte, in nanoseconds, rounded up. Measured on scripts and JSON.
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
