//! The gzip encoder for streams, by zlib-rs.

use dunlin_http::BoxError;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::{Op, output_reserve};

/// RFC 1951 §2: a reference reaches back at most 32 KiB.
const WINDOW_BITS: u8 = 15;

pub(super) struct Gzip(Compress);

// === impl Gzip ===

impl Gzip {
    pub(super) fn new(level: u8) -> Self {
        Self(Compress::new_gzip(Compression::new(level.into()), WINDOW_BITS))
    }

    pub(super) fn reset(&mut self) -> bool {
        self.0.reset();
        true
    }

    pub(super) fn encode(&mut self, mut input: &[u8], op: Op, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let flush = match op {
            Op::Process => FlushCompress::None,
            Op::Flush => FlushCompress::Sync,
            Op::Finish => FlushCompress::Finish,
        };
        loop {
            // If the output buffer is full in the middle of a flush, the marker is written twice.
            // So there is always free space.
            if out.capacity() - out.len() < 64 {
                out.reserve(output_reserve(input.len()));
            }
            let before = self.0.total_in();
            let status = self.0.compress_vec(input, out, flush)?;
            input = &input[(self.0.total_in() - before) as usize..];
            let ended = match op {
                Op::Finish => status == Status::StreamEnd,
                // If the output has free space, nothing is left in the encoder.
                Op::Process | Op::Flush => input.is_empty() && out.len() < out.capacity(),
            };
            if ended {
                return Ok(());
            }
        }
    }
}
