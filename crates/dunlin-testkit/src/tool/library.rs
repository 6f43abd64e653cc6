//! The content codings by libraries, for machines without the command-line programs.

use std::io::Read as _;

use flate2::Compression;
use flate2::read::{GzEncoder, MultiGzDecoder};

/// Does the work of `program`. Returns `None` for an unknown program. `-d` among `args` decodes.
///
/// # Panics
/// Panics if `input` cannot be decoded.
pub(super) fn run(program: &str, args: &str, input: &[u8]) -> Option<Vec<u8>> {
    let decodes = args.split_whitespace().any(|arg| arg.starts_with('-') && arg.contains('d'));
    let mut output = Vec::new();
    match (program, decodes) {
        ("gzip", true) => {
            MultiGzDecoder::new(input).read_to_end(&mut output).expect("valid gzip");
        }
        ("gzip", false) => {
            GzEncoder::new(input, Compression::default()).read_to_end(&mut output).expect("reads from memory");
        }
        ("brotli", true) => brotli::BrotliDecompress(&mut &*input, &mut output).expect("valid brotli"),
        ("brotli", false) => {
            let params = brotli::enc::BrotliEncoderParams::default();
            brotli::BrotliCompress(&mut &*input, &mut output, &params).expect("reads from memory");
        }
        ("zstd", true) => output = decode_zstd(input),
        ("zstd", false) => {
            output = vec![0; zstd_safe::compress_bound(input.len())];
            let length = zstd_safe::compress(&mut output[..], input, 3).expect("room for the frame");
            output.truncate(length);
        }
        _ => return None,
    }
    Some(output)
}

fn decode_zstd(input: &[u8]) -> Vec<u8> {
    let mut decoder = zstd_safe::DCtx::create();
    let mut source = zstd_safe::InBuffer::around(input);
    let mut output = Vec::new();
    let mut piece = vec![0; 128 << 10];
    loop {
        let mut target = zstd_safe::OutBuffer::around(&mut piece[..]);
        let hint = decoder.decompress_stream(&mut target, &mut source).expect("valid zstd");
        let (read_all, written) = (source.pos() == input.len(), target.pos());
        output.extend_from_slice(&piece[..written]);
        if read_all && (hint == 0 || written == 0) {
            assert!(hint == 0, "the zstd frame is cut off");
            return output;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_decode_to_the_input() {
        let text = b"a line of text\n".repeat(50_000);
        for program in ["gzip", "brotli", "zstd"] {
            let encoded = run(program, "-c", &text).unwrap();
            assert!(encoded.len() < text.len() / 10, "{program}");
            assert!(run(program, "-dc", &encoded).unwrap() == text, "{program}");
        }
        assert_eq!(run("tr", "a b", b"a"), None);
    }
}
