//! Helpers: responses, streams, and the coding's own tools.

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_compress::{CompressLayer, Config};
use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, BoxError};
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};

pub(crate) use crate::sample::{library, text};

/// Incompressible bytes.
pub(crate) fn noise(len: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Sends a request to a service that gives this response, with `layer` around it.
pub(crate) async fn respond<B>(layer: &CompressLayer, request: Request<Body>, response: Response<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut response = Some(response);
    let service = service_fn(move |_: Request<Body>| std::future::ready(Ok::<_, Infallible>(response.take().unwrap())));
    layer.layer(service).oneshot(request).await.unwrap()
}

pub(crate) fn request(accept: &str) -> Request<Body> {
    Request::get("/").header("accept-encoding", accept).body(Body::empty()).unwrap()
}

/// A response of plain text.
pub(crate) fn plain(body: impl Into<Body>) -> Response<Body> {
    Response::builder().header("content-type", "text/plain").body(body.into()).unwrap()
}

/// A layer that encodes the smallest content.
pub(crate) fn eager() -> CompressLayer {
    CompressLayer::new(Config { min_size: 0, ..Config::default() }).unwrap()
}

/// A stream from a channel. It ends when the sender is dropped.
pub(crate) struct Sent(pub(crate) mpsc::UnboundedReceiver<Result<Frame<Bytes>, BoxError>>);

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx)
    }
}

/// A stream from a channel, of known length.
pub(crate) struct Known {
    frames: Sent,
    left: u64,
}

impl Known {
    pub(crate) fn of(len: usize, frames: mpsc::UnboundedReceiver<Result<Frame<Bytes>, BoxError>>) -> Self {
        Self { frames: Sent(frames), left: len as u64 }
    }
}

impl http_body::Body for Known {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.frames).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.left -= frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A stream of `content` in pieces of `len` bytes, all available at once.
pub(crate) fn pieces(content: &Bytes, len: usize) -> Body {
    Body::new(Sent(ready(content, len)))
}

/// The same with a known length.
pub(crate) fn known(content: &Bytes, len: usize) -> Body {
    Body::new(Known::of(content.len(), ready(content, len)))
}

fn ready(content: &Bytes, len: usize) -> mpsc::UnboundedReceiver<Result<Frame<Bytes>, BoxError>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    for at in (0..content.len()).step_by(len) {
        let piece = content.slice(at..content.len().min(at + len));
        sender.send(Ok(Frame::data(piece))).unwrap();
    }
    receiver
}

pub(crate) async fn content(response: Response<Body>) -> Bytes {
    response.into_body().collect(usize::MAX).await.unwrap()
}

/// Reads the next piece of data.
pub(crate) async fn next(body: &mut Body) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

/// Decodes with the coding's own command-line tool.
pub(crate) fn tool(coding: Coding, encoded: &[u8]) -> Vec<u8> {
    let command = match coding {
        Coding::Gzip => "gzip -dc",
        Coding::Brotli => "brotli -dc",
        Coding::Zstd => "zstd -dc",
    };
    dunlin_testkit::tool(command, encoded)
}

/// Encodes with a library, for requests.
pub(crate) fn encode(coding: Coding, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap();
        }
        Coding::Brotli => drop(brotli::CompressorWriter::new(&mut out, 4096, 3, 20).write_all(content)),
        Coding::Zstd => {
            out.reserve(zstd_safe::compress_bound(content.len()));
            zstd_safe::compress(&mut out, content, 3).unwrap();
        }
    }
    out
}
