//! Any content of a request, with any codings.
//!
//! Invariants:
//! - No more bytes than the limit come out, of several codings too, not even before an error.
//! - The pieces in which the content arrives make no difference to the decoded content.
//! - The service sees no coding, and no length but that of unchanged content.
//! - Without a coding, the content is unchanged.

#![no_main]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use dunlin_compress::{Body, DecompressLayer, Handler};
use dunlin_http::ReplyFuture;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use libfuzzer_sys::fuzz_target;
use tower_layer::Layer as _;

const CODINGS: &[&str] = &["gzip", "br", "zstd", "x-gzip", "gzip, br", "zstd, zstd", "br, gzip, zstd", "identity"];

/// A service that responds with the request's own fields and content.
struct Echo;

impl Handler<()> for Echo {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, _: &()) -> ReplyFuture {
        let (parts, body) = request.into_parts();
        let mut response = Response::new(body);
        *response.headers_mut() = parts.headers;
        ReplyFuture::ready(response)
    }
}

/// A body of these frames.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Sends the content through the layer. Returns the decoded content, or `None` for content that is
/// refused, too long or malformed.
fn decoded(coding: &str, limit: u64, pieces: VecDeque<Bytes>) -> Option<Vec<u8>> {
    let mut context = Context::from_waker(Waker::noop());
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let request = Request::post("/").header(CONTENT_LENGTH, length).header(CONTENT_ENCODING, coding);
    let request = request.body(Body::new(Pieces(pieces))).ok()?;
    let mut responding = Box::pin(DecompressLayer::new(limit).layer(Echo).handle(request, &()));
    let Poll::Ready(Ok(reply)) = responding.as_mut().poll(&mut context) else { panic!("the reply is not ready") };
    let (parts, mut body) = reply.into_response().into_parts();
    if parts.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return None;
    }
    assert!(!parts.headers.contains_key(CONTENT_ENCODING));
    // The layer removes the length with a coding. `identity` and an empty list are none.
    let is_unchanged = parts.headers.contains_key(CONTENT_LENGTH);
    let mut content = Vec::new();
    loop {
        match Pin::new(&mut body).poll_frame(&mut context) {
            // The decoder lets other tasks run.
            Poll::Pending => {}
            Poll::Ready(None) => {
                assert!(!is_unchanged || content.len() == length);
                return Some(content);
            }
            Poll::Ready(Some(Err(_))) => return None,
            Poll::Ready(Some(Ok(frame))) => {
                content.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                assert!(is_unchanged || content.len() as u64 <= limit, "{} bytes of {limit}", content.len());
            }
        }
    }
}

fuzz_target!(|input: (u8, Option<&str>, u32, Vec<u8>, &[u8])| {
    let (known, own, limit, sizes, content) = input;
    let coding = own.unwrap_or(CODINGS[usize::from(known) % CODINGS.len()]);
    let limit = u64::from(limit % (1 << 20));
    let mut pieces = VecDeque::new();
    let mut rest = Bytes::copy_from_slice(content);
    let mut sizes = sizes.iter().map(|size| usize::from(*size).max(1)).cycle();
    while !rest.is_empty() {
        pieces.push_back(rest.split_to(sizes.next().unwrap_or(usize::MAX).min(rest.len())));
    }
    let whole = decoded(coding, limit, VecDeque::from([Bytes::copy_from_slice(content)]));
    assert_eq!(decoded(coding, limit, pieces), whole);
    if coding == "identity" {
        assert_eq!(whole.as_deref(), Some(content));
    }
});
