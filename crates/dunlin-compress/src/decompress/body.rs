//! Bodies that are decoded while they are read.

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

/// The limit of decoded bytes per frame.
const MAX_FRAME: usize = 16 << 10;

/// The limit of frames in a row, before the event loop runs other tasks. A frame takes up to about
/// 100 microseconds.
const MAX_FRAMES: u8 = 4;

/// RFC 9659 §3: a window has at most 8 MiB. With a larger one, a client could use up memory.
const MAX_WINDOW_LOG: u32 = 23;

/// Decodes `body`, which is in `coding`. Trailers are passed on.
pub(crate) fn decode(coding: Coding, body: Body) -> Body {
    let reader = Reader { body, chunk: Bytes::new(), trailers: None };
    match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            // RFC 1952 §2.2: a file may have several members.
            decoder.multiple_members(true);
            Body::new(Decoded::new(decoder, |decoder| decoder.get_mut().trailers.take()))
        }
        Coding::Brotli => {
            Body::new(Decoded::new(BrotliDecoder::new(reader), |decoder| decoder.get_mut().trailers.take()))
        }
        Coding::Zstd => {
            let mut decoder = ZstdDecoder::with_params(reader, &[DParameter::window_log_max(MAX_WINDOW_LOG)]);
            // RFC 8878 §3: content may have several frames.
            decoder.multiple_members(true);
            Body::new(Decoded::new(decoder, |decoder| decoder.get_mut().trailers.take()))
        }
    }
}

/// A body as an [`AsyncBufRead`].
struct Reader {
    body: Body,
    chunk: Bytes,
    trailers: Option<HeaderMap>,
}

/// The output of a decoder as a body.
struct Decoded<D> {
    decoder: D,
    trailers: fn(&mut D) -> Option<HeaderMap>,
    buffer: BytesMut,
    /// The number of frames in a row.
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
        if this.frames >= MAX_FRAMES {
            this.frames = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.buffer.reserve(MAX_FRAME);
        match poll_read_buf(Pin::new(&mut this.decoder), cx, &mut this.buffer) {
            Poll::Pending => {
                this.frames = 0;
                Poll::Pending
            }
            Poll::Ready(Ok(1..)) => {
                this.frames += 1;
                Poll::Ready(Some(Ok(Frame::data(this.buffer.split().freeze()))))
            }
            Poll::Ready(end) => {
                this.ended = true;
                if let Err(error) = end {
                    return Poll::Ready(Some(Err(body_error(error).into())));
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

/// The error of the inner body, taken out of the decoder's error. Without one, the decoder's own
/// error.
fn body_error(error: io::Error) -> BodyError {
    let own = error.to_string();
    BodyError::from_boxed(error.into_inner().unwrap_or_else(|| own.into()))
}
