//! For any bytes of an origin: a response with `Content-Length` has a body of just that length or
//! one that fails, no response has that field beside `Transfer-Encoding`, and the pieces in which
//! the bytes arrive make no difference.

#![no_main]

use dunlin_fetch::{Body, Client, Config};
use dunlin_fetch_fuzz::Harness;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Request, StatusCode};
use libfuzzer_sys::fuzz_target;

/// The status, the fields and the body, or `None` for the body or for all if it failed.
type Received = Option<(StatusCode, HeaderMap, Option<Vec<u8>>)>;

thread_local! {
    static HARNESS: Harness = Harness::new();
}

fn received(harness: &Harness, pieces: &[&[u8]]) -> Received {
    let client = async {
        // The client may not follow a redirect, but it resolves one.
        let client = Client::new(Config { max_redirects: 0, ..Config::default() }).unwrap();
        let request = Request::get(harness.uri("/")).body(Body::empty()).unwrap();
        let (parts, body) = client.request(request).await.ok()?.into_parts();
        let body = body.collect(1 << 20).await.ok().map(|body| body.to_vec());
        let _ = client.get_text(&harness.uri("/"), Some(9)).await;
        Some((parts.status, parts.headers, body))
    };
    harness.run(pieces, client).0
}

fuzz_target!(|input: (bool, usize, &[u8])| {
    let (has_status, at, rest) = input;
    // With a valid status line, the input soon reaches the fields and the body.
    let bytes = [if has_status { &b"HTTP/1.1 200 OK\r\n"[..] } else { b"" }, rest].concat();
    HARNESS.with(|harness| {
        let whole = received(harness, &[&bytes]);
        let (first, second) = bytes.split_at(at % (bytes.len() + 1));
        assert_eq!(received(harness, &[first, second]), whole);
        let Some((status, headers, body)) = whole else { return };
        let Some(length) = headers.get(CONTENT_LENGTH) else { return };
        assert!(!headers.contains_key(TRANSFER_ENCODING));
        if let (Some(body), Ok(length)) = (body, length.to_str())
            && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            && let Ok(length) = length.parse::<usize>()
        {
            assert_eq!(body.len(), length);
        }
    });
});
