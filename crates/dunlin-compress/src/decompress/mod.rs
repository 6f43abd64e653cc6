//! [`DecompressLayer`]: requests whose content is encoded.

pub(crate) mod body;
mod future;

use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, BoxError, Handler, Limited, Problem, list};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

pub use future::{DecompressFuture, DecompressReplyFuture};

/// The most codings that a request may have put one upon the other. Nobody needs two.
const MOST: usize = 3;

/// Decodes the content of requests (RFC 9110 §8.4) for the services that it wraps.
///
/// The service sees a request without a coding, with a body of at most `limit` decoded bytes;
/// reading on fails with [`BodyError::TooLarge`](dunlin_http::BodyError::TooLarge), which is to be
/// answered with 413, and what is no content in the coding that it says, with
/// [`BodyError::Other`](dunlin_http::BodyError::Other), 400. A coding that is not known is answered
/// here: 415, with the codings that are in `Accept-Encoding` (RFC 9110 §15.5.16).
#[derive(Clone, Copy, Debug)]
pub struct DecompressLayer {
    limit: u64,
}

/// A service whose requests are decoded; made by [`DecompressLayer`].
#[derive(Clone, Debug)]
pub struct Decompress<S> {
    inner: S,
    limit: u64,
}

/// A coding that is not known.
struct Unsupported;

// === impl DecompressLayer ===

impl DecompressLayer {
    /// Allows a request at most `limit` bytes of decoded content. Content that is not encoded is
    /// not looked at: its length is the server's matter.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for DecompressLayer {
    type Service = Decompress<S>;

    fn layer(&self, inner: S) -> Decompress<S> {
        Decompress { inner, limit: self.limit }
    }
}

// === impl Decompress ===

impl<S, A, B> Service<Request<A>> for Decompress<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    A: http_body::Body<Data = Bytes> + Send + 'static,
    A::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = DecompressFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> DecompressFuture<S::Future> {
        match decoded(request.map(Body::new), self.limit) {
            Ok(request) => DecompressFuture::inner(self.inner.call(request)),
            Err(Unsupported) => DecompressFuture::refused(),
        }
    }
}

impl<C, H> Handler<C> for Decompress<H>
where
    H: Handler<C>,
{
    type Error = H::Error;
    type Future = DecompressReplyFuture<H::Future>;

    fn handle(&self, request: Request<Body>, context: &C) -> Self::Future {
        match decoded(request, self.limit) {
            Ok(request) => DecompressReplyFuture::inner(self.inner.handle(request, context)),
            Err(Unsupported) => DecompressReplyFuture::refused(),
        }
    }
}

/// The request without its codings.
fn decoded(request: Request<Body>, limit: u64) -> Result<Request<Body>, Unsupported> {
    if !request.headers().contains_key(CONTENT_ENCODING) {
        return Ok(request);
    }
    let codings = codings(request.headers()).ok_or(Unsupported)?;
    let (mut parts, mut body) = request.into_parts();
    parts.headers.remove(CONTENT_ENCODING);
    if codings.is_empty() || body.is_empty() {
        return Ok(Request::from_parts(parts, body));
    }
    // RFC 9110 §8.4: they are listed in the order in which they were applied.
    for coding in codings.into_iter().rev() {
        body = Body::new(Limited::new(body::decode(coding, body), limit));
    }
    // RFC 9530: both digests are of the content as it was sent, coding included.
    for name in [CONTENT_LENGTH, HeaderName::from_static("content-digest"), HeaderName::from_static("repr-digest")] {
        parts.headers.remove(name);
    }
    Ok(Request::from_parts(parts, body))
}

/// The codings of the content, in the order in which they were applied; `None` if there is one that
/// is not known.
fn codings(headers: &HeaderMap) -> Option<Vec<Coding>> {
    if headers.get_all(CONTENT_ENCODING).iter().any(|line| line.to_str().is_err()) {
        return None;
    }
    let names = list::elements(headers, &CONTENT_ENCODING).filter(|name| !name.eq_ignore_ascii_case("identity"));
    let codings: Vec<_> = names.map(Coding::from_token).take(MOST + 1).collect::<Option<_>>()?;
    (codings.len() <= MOST).then_some(codings)
}

// === impl Unsupported ===

impl Unsupported {
    /// RFC 9110 §15.5.16: a 415 for the sake of the coding ought to say in `Accept-Encoding` which
    /// ones would do.
    fn response() -> Response<Body> {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .detail("the Content-Encoding of the request is not supported; Accept-Encoding has those that are")
            .header(ACCEPT_ENCODING, HeaderValue::from_static("zstd, br, gzip"))
            .into_response()
    }
}
