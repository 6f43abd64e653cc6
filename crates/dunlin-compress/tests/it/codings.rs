//! Every coding, decoded by another implementation.

use dunlin_compress::{CompressLayer, Config};
use dunlin_http::negotiate::Coding;
use http::header::CONTENT_ENCODING;

use crate::support::*;

/// Sizes from zero to one mebibyte, and around the limits of buffers, frames, slices, windows and
/// blocks.
fn sizes() -> Vec<usize> {
    let mut sizes = vec![0, 1, 2, 3, 10, 100, 5_000, 50_000, 500_000];
    for edge in [256, 512, 1 << 10, 4 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20] {
        sizes.extend([edge - 1, edge, edge + 1]);
    }
    sizes
}

#[tokio::test]
async fn whole_contents() {
    let layer = eager();
    for coding in Coding::ALL {
        for size in sizes() {
            let response = respond(&layer, request(coding.as_str()), plain(text(size))).await;
            let encoded = response.headers().get(CONTENT_ENCODING).map(|name| name == coding.as_str());
            let body = content(response).await;
            match encoded {
                Some(right) => assert!(right && tool(coding, &body) == text(size), "{coding} {size}"),
                None => assert!(size < 200 && body == text(size), "{coding} {size}"),
            }
        }
    }
}

#[tokio::test]
async fn streams() {
    let layer = eager();
    for coding in Coding::ALL {
        for (at, size) in sizes().into_iter().enumerate().skip(1) {
            let piece = [size, 16 << 10, 1_000.max(size / 50)][at % 3];
            for sent in [text(size), noise(size)] {
                let response = respond(&layer, request(coding.as_str()), plain(pieces(&sent, piece))).await;
                assert_eq!(response.headers()[CONTENT_ENCODING], coding.as_str());
                let encoded = content(response).await;
                assert!(tool(coding, &encoded) == sent, "{coding} {size} by {piece}");
            }
            let response = respond(&layer, request(coding.as_str()), plain(known(&text(size), piece))).await;
            let is_encoded = response.headers().contains_key(CONTENT_ENCODING);
            let body = content(response).await;
            let decoded = if is_encoded { tool(coding, &body) } else { body.to_vec() };
            assert!(decoded == text(size), "{coding} {size} by {piece}, known");
        }
    }
}

#[tokio::test]
async fn without_threads_the_event_loop_encodes_in_slices() {
    let layer = CompressLayer::new(Config { threads: 0, ..Config::default() }).unwrap();
    for coding in Coding::ALL {
        let response = respond(&layer, request(coding.as_str()), plain(text(1 << 20))).await;
        assert!(!response.headers().contains_key("content-length"));
        assert!(tool(coding, &content(response).await) == text(1 << 20), "{coding}");
    }
    assert!(layer.stats().overflowed >= 3);
}
