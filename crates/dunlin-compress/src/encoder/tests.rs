#[path = "../../tests/it/sample.rs"]
mod sample;

use sample::{library as decode, text};

use super::*;

fn each(test: impl Fn(Spec)) {
    for (coding, levels) in [(Coding::Gzip, 1..=9), (Coding::Brotli, 0..=7), (Coding::Zstd, 1..=9)] {
        for level in levels {
            for window in [Window::Stream, Window::Events] {
                test(Spec { coding, level, window });
            }
        }
    }
}

#[test]
fn flushed_output_can_be_decoded() {
    each(|spec| {
        let mut encoder = Encoder::take(spec).unwrap();
        let (mut out, mut sent) = (Vec::new(), Vec::new());
        for len in [1, 0, 5, 300, 70_000, 2, 140_000] {
            let chunk = text(len);
            sent.extend_from_slice(&chunk);
            encoder.encode(&chunk, Op::Process, &mut out).unwrap();
            encoder.encode(&[], Op::Flush, &mut out).unwrap();
            assert!(decode(spec.coding, &out) == sent, "{spec:?} after {} bytes", sent.len());
        }
        encoder.encode(&[], Op::Finish, &mut out).unwrap();
        assert!(decode(spec.coding, &out) == sent, "{spec:?}");
    });
}

#[test]
fn a_reused_encoder_gives_the_same_output() {
    each(|spec| {
        let content = text(100_000);
        let encode = || {
            let (mut encoder, mut out) = (Encoder::take(spec).unwrap(), Vec::new());
            for piece in content.chunks(7_000) {
                encoder.encode(piece, Op::Process, &mut out).unwrap();
            }
            encoder.encode(&[], Op::Finish, &mut out).unwrap();
            out
        };
        let first = encode();
        let mut dropped = Encoder::take(spec).unwrap();
        dropped.encode(b"dropped half-way", Op::Process, &mut Vec::new()).unwrap();
        drop(dropped);
        assert!(first == encode(), "{spec:?}");
    });
}

#[test]
fn whole_content_gets_shorter_or_is_not_encoded() {
    for coding in Coding::ALL {
        for len in [0, 1, 20, 100, 5_000, 65_535, 65_536, 300_000] {
            let content = text(len);
            if let Some(encoded) = whole(Effort::once(coding, 6, len), &content).unwrap() {
                assert!(encoded.len() < len && decode(coding, &encoded) == content, "{coding} {len}");
            } else {
                assert!(len < 200, "{coding} {len}");
            }
        }
        let noise: Vec<u8> =
            (0..10_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(n % 32).to_le_bytes()).collect();
        let packed = whole(Effort::kept(coding, 9), &noise).unwrap().unwrap_or_else(|| noise.clone().into());
        assert_eq!(
            whole(Effort::kept(coding, 9), &packed).unwrap(),
            None,
            "{coding}: compressed content is not encoded again"
        );
    }
}
