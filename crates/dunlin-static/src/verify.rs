//! Whether an encoded file beside a file is what it says: whole, of the very content, and within
//! what browsers decode.

use std::io::{self, BufRead, Read};

use dunlin_http::negotiate::Coding;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::tag::{Digest, Hasher};

/// RFC 9659 §3: a window of at most 8 MiB, which is all that a client has to keep.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Checks that `encoded` decodes to the `len` bytes that have this digest.
///
/// # Errors
/// Says what is wrong: the file is cut short, needs too large a window, or is the encoding of something else, as after
/// an edit of the file alone.
pub(crate) fn decodes_to(coding: Coding, encoded: impl BufRead, len: u64, digest: Digest) -> io::Result<()> {
    let mut decoded = Decoded { left: len, hasher: Hasher::new() };
    match coding {
        Coding::Gzip => decoded.read(flate2::bufread::MultiGzDecoder::new(encoded))?,
        Coding::Brotli => brotli(encoded, &mut decoded)?,
        Coding::Zstd => zstd(encoded, &mut decoded)?,
    }
    if decoded.left > 0 || decoded.hasher.finish() != digest {
        return Err(io::Error::other("it is the encoding of something else"));
    }
    Ok(())
}

/// What came out so far.
struct Decoded {
    left: u64,
    hasher: Hasher,
}

impl Decoded {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        // So a few bytes that decode to very many end early.
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("it is the encoding of something longer"))?;
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
    // RFC 7932 §9.1 leaves this one pattern invalid; encoders use it for windows beyond the
    // format's 16 MiB.
    if encoded.fill_buf()?.first().is_some_and(|first| first & 0x7f == 0x11) {
        return Err(io::Error::other("its window is larger than 16 MiB"));
    }
    decoded.read(brotli::Decompressor::new(encoded, 64 << 10))
}

fn zstd(mut encoded: impl BufRead, decoded: &mut Decoded) -> io::Result<()> {
    let mut context = DCtx::try_create().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
    context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).map_err(zstd_error)?;
    let mut buffer = vec![0; 64 << 10];
    // What zstd still waits for: nothing at the end of a frame.
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
    // The command-line tools are encoders of another make.
    use dunlin_testkit::tool as encode;

    use super::*;

    fn check(coding: Coding, encoded: &[u8], content: &[u8]) -> Result<(), String> {
        decodes_to(coding, encoded, content.len() as u64, Digest::of(content)).map_err(|error| error.to_string())
    }

    const TOOLS: [(Coding, &str); 3] =
        [(Coding::Gzip, "gzip -c"), (Coding::Brotli, "brotli -c"), (Coding::Zstd, "zstd -qc")];

    #[test]
    fn whole_encodings_pass_and_no_part_of_them_does() {
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
    fn the_encoding_of_something_else_does_not_pass() {
        for (coding, tool) in TOOLS {
            for other in [&b"older"[..], b"something longer", b""] {
                assert!(check(coding, &encode(tool, other), b"newer").is_err(), "{coding}");
            }
            assert!(check(coding, b"no encoding at all", b"newer").is_err(), "{coding}");
        }
    }

    #[test]
    fn frames_in_a_row_are_one_content() {
        for (coding, tool) in [TOOLS[0], TOOLS[2]] {
            let encoded = [encode(tool, b"one "), encode(tool, b"two")].concat();
            assert_eq!(check(coding, &encoded, b"one two"), Ok(()), "{coding}");
        }
    }

    #[test]
    fn windows_that_browsers_refuse_are_refused() {
        let content = vec![7; 20 << 20];
        assert_eq!(check(Coding::Zstd, &encode("zstd -qc --long=23", &content), &content), Ok(()));
        assert!(check(Coding::Zstd, &encode("zstd -qc --long=24", &content), &content).is_err());
        assert!(check(Coding::Brotli, &encode("brotli -c --large_window=25", &content), &content).is_err());
    }
}
