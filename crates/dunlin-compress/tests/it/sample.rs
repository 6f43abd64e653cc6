//! Content to encode, and a decoder. The unit tests of the encoders share them.

use std::io::Read;

use bytes::Bytes;
use dunlin_http::negotiate::Coding;

/// Deterministic text that compresses about as well as real text.
pub(crate) fn text(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let mut out = Vec::with_capacity(len + 16);
    while out.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        out.extend_from_slice(
            ["let x = ", "return ", "fn ", "(a, b)", ";\n", "0x"][(state >> 20) as usize % 6].as_bytes(),
        );
        out.push(b'a' + (state >> 27) as u8);
    }
    out.truncate(len);
    out.into()
}

/// Decodes with a library, up to the end of the input. The content may be incomplete.
pub(crate) fn library(coding: Coding, encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        Coding::Gzip => drop(flate2::read::GzDecoder::new(encoded).read_to_end(&mut out)),
        Coding::Brotli => drop(brotli::Decompressor::new(encoded, 4096).read_to_end(&mut out)),
        Coding::Zstd => {
            let mut context = zstd_safe::DCtx::create();
            let mut source = zstd_safe::InBuffer::around(encoded);
            loop {
                out.reserve(1 << 16);
                let at = out.len();
                let mut sink = zstd_safe::OutBuffer::around_pos(&mut out, at);
                let left = context.decompress_stream(&mut sink, &mut source).unwrap();
                if left == 0 || (source.pos() == encoded.len() && out.len() < out.capacity()) {
                    break;
                }
            }
        }
    }
    out
}
