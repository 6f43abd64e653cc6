//! Checks a sibling: it has to be complete, to decode to the file's content, and to need no more
//! memory than browsers allow.

use std::io::{self, BufRead, Read};

use dunlin_http::negotiate::Coding;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::tag::{Digest, Hasher};

/// RFC 9659 §3: a window has at most 8 MiB, because a client need not support a larger one.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Checks that `encoded` decodes to the `len` bytes that have this digest.
///
/// # Errors
/// Fails if `encoded` is truncated, needs too large a window, or is the encoding of other content.
/// The last happens if only the file was edited.
pub(crate) fn decodes_to(coding: Coding, encoded: impl BufRead, len: u64, digest: Digest) -> io::Result<()> {
    let mut decoded = Decoded { left: len, hasher: Hasher::new() };
    match coding {
        Coding::Gzip => decoded.read(flate2::bufread::MultiGzDecoder::new(encoded))?,
        Coding::Brotli => brotli(encoded, &mut decoded)?,
        Coding::Zstd => zstd(encoded, &mut decoded)?,
    }
    if decoded.left > 0 || decoded.hasher.finish() != digest {
        return Err(io::Error::other("it is the encoding of other content"));
    }
    Ok(())
}

/// The decoded content so far.
struct Decoded {
    /// The number of expected bytes that are missing.
    left: u64,
    hasher: Hasher,
}

impl Decoded {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A few bytes that decode to very many are rejected early.
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("it is the encoding of longer content"))?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn read(&mut self, mut from: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match from.read(&mut buffer)? {
                0 => return Ok(()),
                n => self.take(&buffer[..n])?,
            }
        }
    }
}

fn brotli(mut encoded: impl BufRead, decoded: &mut Decoded) -> io::Result<()> {
    // RFC 7932 §9.1: this pattern is invalid. Encoders use it for windows beyond the format's
    // 16 MiB.
    if encoded.fill_buf()?.first().is_some_and(|first| first & 0x7f == 0x11) {
        return Err(io::Error::other("its window is larger than 16 MiB"));
    }
    decoded.read(brotli::Decompressor::new(encoded, 64 << 10))
}

fn zstd(mut encoded: impl BufRead, decoded: &mut Decoded) -> io::Result<()> {
    let mut context = DCtx::try_create().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
    context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).map_err(zstd_error)?;
    let mut buffer = vec![0; 64 << 10];
    // The number of bytes that zstd expects next. Zero at the end of a frame.
    let mut wanted = 1;
    loop {
        let bytes = encoded.fill_buf()?;
        let mut input = InBuffer::around(bytes);
        let mut output = OutBuffer::around(&mut buffer[..]);
        let ended = bytes.is_empty();
        if !(ended && wanted == 0) {
            wanted = context.decompress_stream(&mut output, &mut input).map_err(zstd_error)?;
        }
        let (read, written) = (input.pos(), output.pos());
        decoded.take(&buffer[..written])?;
        encoded.consume(read);
        match (ended, written) {
            (true, 0) if wanted == 0 => return Ok(()),
            (true, 0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

fn zstd_error(code: usize) -> io::Error {
    io::Error::other(zstd_safe::get_error_name(code))
}

#[cfg(test)]
mod tests {
    // The command-line tools are other implementations than the libraries under test.
    use dunlin_testkit::tool as encode;

    use super::*;

    fn check(coding: Coding, encoded: &[u8], content: &[u8]) -> Result<(), String> {
        decodes_to(coding, encoded, content.len() as u64, Digest::of(content)).map_err(|error| error.to_string())
    }

    const TOOLS: [(Coding, &str); 3] =
        [(Coding::Gzip, "gzip -c"), (Coding::Brotli, "brotli -c"), (Coding::Zstd, "zstd -qc")];

    #[test]
    fn complete_encodings_pass_and_truncated_ones_fail() {
        let content: Vec<u8> = (0..200_000u32).flat_map(|n| (n % 1000).to_be_bytes()).collect();
        for (coding, tool) in TOOLS {
            for content in [&content[..], b"", b"short"] {
                let encoded = encode(tool, content);
                assert_eq!(check(coding, &encoded, content), Ok(()), "{coding}");
                for cut in [0, encoded.len() / 3, encoded.len() / 2, encoded.len() - 1] {
                    assert!(check(coding, &encoded[..cut], content).is_err(), "{coding} cut to {cut} bytes");
                }
            }
        }
    }

    #[test]
    fn encodings_of_other_content_fail() {
        for (coding, tool) in TOOLS {
            for other in [&b"older"[..], b"something longer", b""] {
                assert!(check(coding, &encode(tool, other), b"newer").is_err(), "{coding}");
            }
            assert!(check(coding, b"no encoding at all", b"newer").is_err(), "{coding}");
        }
    }

    #[test]
    fn concatenated_frames_are_one_content() {
        for (coding, tool) in [TOOLS[0], TOOLS[2]] {
            let encoded = [encode(tool, b"one "), encode(tool, b"two")].concat();
            assert_eq!(check(coding, &encoded, b"one two"), Ok(()), "{coding}");
        }
    }

    #[test]
    fn windows_that_browsers_refuse_fail() {
        let content = vec![7; 20 << 20];
        assert_eq!(check(Coding::Zstd, &encode("zstd -qc --long=23", &content), &content), Ok(()));
        assert!(check(Coding::Zstd, &encode("zstd -qc --long=24", &content), &content).is_err());
        assert!(check(Coding::Brotli, &encode("brotli -c --large_window=25", &content), &content).is_err());
    }
}
