//! [`DecompressLayer`]: decodes the content of requests.

pub(crate) mod body;
mod codings;
mod future;

use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Handler, Limited, Reply, ResponseFuture};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderName, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use self::codings::{Unsupported, codings};

pub use self::future::DecompressFuture;

/// Decodes the content of requests (RFC 9110 §8.4) for the services that it wraps.
///
/// The service gets a request without a coding, whose body has at most `limit` decoded bytes.
///
/// - A longer body fails while it is read. axum's extractors respond with 413 (Content Too Large).
///   Other services can get the status from
///   [`BodyError::from_boxed`](dunlin_http::BodyError::from_boxed).
/// - A body that is not valid in its coding fails too. The status is 400 (Bad Request).
/// - To an unknown coding, the layer responds with 415 (Unsupported Media Type). `Accept-Encoding`
///   names the supported codings (RFC 9110 §15.5.16).
#[derive(Clone, Copy, Debug)]
pub struct DecompressLayer {
    limit: u64,
}

/// A service or a [`Handler`] whose requests are decoded. [`DecompressLayer`] makes it.
#[derive(Clone, Debug)]
pub struct Decompress<S> {
    inner: S,
    limit: u64,
}

// === impl DecompressLayer ===

impl DecompressLayer {
    /// Makes a layer that allows at most `limit` bytes of decoded content per request.
    ///
    /// A request without a coding is passed on as it is. The server limits its length.
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

impl<S, A> Service<Request<A>> for Decompress<S>
where
    S: Service<Request<Body>>,
    S::Response: Into<Reply>,
    A: http_body::Body<Data = Bytes> + Send + 'static,
    A::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<DecompressFuture<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let request = request.map(Body::new);
        if !is_encoded(&request) {
            return ResponseFuture::new(DecompressFuture::inner(self.inner.call(request)));
        }
        ResponseFuture::new(match decode(request, self.limit) {
            // Extractors of axum know the error of a body over the limit by its type.
            Ok(request) => DecompressFuture::inner(self.inner.call(request.map(Body::with_tower_errors))),
            Err(Unsupported) => DecompressFuture::unsupported(),
        })
    }
}

impl<C, H: Handler<C>> Handler<C> for Decompress<H> {
    type Error = H::Error;
    type Future = DecompressFuture<H::Future>;

    fn handle(&self, request: Request<Body>, context: &C) -> Self::Future {
        if !is_encoded(&request) {
            return DecompressFuture::inner(self.inner.handle(request, context));
        }
        match decode(request, self.limit) {
            Ok(request) => DecompressFuture::inner(self.inner.handle(request, context)),
            Err(Unsupported) => DecompressFuture::unsupported(),
        }
    }
}

fn is_encoded(request: &Request<Body>) -> bool {
    request.headers().contains_key(CONTENT_ENCODING)
}

/// Removes the codings of a request.
fn decode(request: Request<Body>, limit: u64) -> Result<Request<Body>, Unsupported> {
    let codings = codings(request.headers())?;
    let (mut parts, mut body) = request.into_parts();
    parts.headers.remove(CONTENT_ENCODING);
    if codings.is_empty() || body.is_empty() {
        return Ok(Request::from_parts(parts, body));
    }
    // RFC 9110 §8.4: the field lists the codings in the order in which they were applied.
    for coding in codings.into_iter().rev() {
        body = Body::new(Limited::new(body::decode(coding, body), limit));
    }
    // RFC 9530 §2, §3: both digests are of the content with its coding.
    for name in [CONTENT_LENGTH, HeaderName::from_static("content-digest"), HeaderName::from_static("repr-digest")] {
        parts.headers.remove(name);
    }
    Ok(Request::from_parts(parts, body))
}
