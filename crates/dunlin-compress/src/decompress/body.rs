//! Bodies that are decoded as they flow.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Buf, Bytes, BytesMut};
use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, BodyError, BoxError};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

/// The most that is decoded for one frame, in bytes.
const FRAME: usize = 16 << 10;

/// After so many frames without a pause the event loop is let go: some 100 microseconds each at
/// worst.
const FRAMES: u8 = 4;

/// RFC 9659 §3: a window of at most 8 MiB. A larger one would be memory for the asking.
const WINDOW_LOG: u32 = 23;

/// The content of `body`, which is in `coding`. Trailers are kept.
pub(crate) fn decode(coding: Coding, body: Body) -> Body {
    let reader = Reader { body, chunk: Bytes::new(), trailers: None };
    match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            // RFC 1952 §2.2: a file may have several members, one after the other.
            decoder.multiple_members(true);
            Body::new(Decoded::new(decoder, |decoder| decoder.get_mut().trailers.take()))
        }
        Coding::Brotli => {
            Body::new(Decoded::new(BrotliDecoder::new(reader), |decoder| decoder.get_mut().trailers.take()))
        }
        Coding::Zstd => {
            let mut decoder = ZstdDecoder::with_params(reader, &[DParameter::window_log_max(WINDOW_LOG)]);
            // RFC 8878 §3: so may zstd's, of frames.
            decoder.multiple_members(true);
            Body::new(Decoded::new(decoder, |decoder| decoder.get_mut().trailers.take()))
        }
    }
}

/// A body as bytes to read.
struct Reader {
    body: Body,
    chunk: Bytes,
    trailers: Option<HeaderMap>,
}

/// What a decoder gives, as a body.
struct Decoded<D> {
    decoder: D,
    trailers: fn(&mut D) -> Option<HeaderMap>,
    buffer: BytesMut,
    frames: u8,
    ended: bool,
}

// === impl Reader ===

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.chunk.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                None => break,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.chunk = data,
                    Err(frame) => this.trailers = frame.into_trailers().ok(),
                },
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(mut self: Pin<&mut Self>, len: usize) {
        self.chunk.advance(len);
    }
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let chunk = ready!(self.as_mut().poll_fill_buf(cx))?;
        let len = chunk.len().min(into.remaining());
        into.put_slice(&chunk[..len]);
        self.consume(len);
        Poll::Ready(Ok(()))
    }
}

// === impl Decoded ===

impl<D> Decoded<D> {
    fn new(decoder: D, trailers: fn(&mut D) -> Option<HeaderMap>) -> Self {
        Self { decoder, trailers, buffer: BytesMut::new(), frames: 0, ended: false }
    }
}

impl<D: AsyncRead + Unpin> http_body::Body for Decoded<D> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready((this.trailers)(&mut this.decoder).map(|trailers| Ok(Frame::trailers(trailers))));
        }
        if this.frames >= FRAMES {
            this.frames = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.buffer.reserve(FRAME);
        match poll_read_buf(Pin::new(&mut this.decoder), cx, &mut this.buffer) {
            Poll::Pending => {
                this.frames = 0;
                Poll::Pending
            }
            Poll::Ready(Ok(1..)) => {
                this.frames += 1;
                Poll::Ready(Some(Ok(Frame::data(this.buffer.split().freeze()))))
            }
            Poll::Ready(done) => {
                this.ended = true;
                if let Err(error) = done {
                    return Poll::Ready(Some(Err(reason(error).into())));
                }
                Poll::Ready((this.trailers)(&mut this.decoder).map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}

/// What the body failed with, out of the error that carried it through the decoder; or the
/// decoder's own error.
fn reason(error: io::Error) -> BodyError {
    let own = error.to_string();
    BodyError::from_boxed(error.into_inner().unwrap_or_else(|| own.into()))
}
