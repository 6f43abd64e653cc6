//! The reading of response bodies, as far as the text needs them.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::{Body, BoxError};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body as _;

use super::decode::Decode;
use crate::Error;

/// Bytes of an unneeded rest that are read so that the connection can be used again.
const DRAIN: u64 = 64 * 1024;
/// The time limit for these bytes.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Reads the first `take` characters of `body`, or all of it.
///
/// # Errors
/// [`Error::TooLarge`] if more than `limit` bytes are needed.
pub(crate) async fn text(
    headers: &HeaderMap,
    mut body: Body,
    take: Option<usize>,
    limit: usize,
) -> Result<String, Error> {
    let coded =
        headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if coded {
        return Err(Error::Protocol("a Content-Encoding that the request did not accept".into()));
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut decode = Decode::new(content_type, take);
    let mut left = limit;
    loop {
        match next(&mut body).await {
            Some(Ok(data)) => {
                // A frame may exceed the limit after the last character that is needed.
                let within = &data[..data.len().min(left)];
                if decode.push(within, false) {
                    drain(body).await;
                    break;
                }
                left = left.checked_sub(data.len()).ok_or(Error::TooLarge(limit))?;
            }
            Some(Err(error)) => return Err(reason(error)),
            None => {
                decode.push(b"", true);
                break;
            }
        }
    }
    Ok(decode.finish())
}

/// Reads the rest of a body if it is short, so that the connection can be used again. A task waits
/// for bytes that have not arrived yet.
pub(crate) async fn drain(mut body: Body) {
    let mut left = DRAIN;
    let has_ended = std::future::poll_fn(|cx| {
        loop {
            if body.is_end_stream() || body.size_hint().lower() > left {
                return Poll::Ready(true);
            }
            match Pin::new(&mut body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
                }
                Poll::Ready(_) => return Poll::Ready(true),
                Poll::Pending => return Poll::Ready(false),
            }
            if left == 0 {
                return Poll::Ready(true);
            }
        }
    });
    if !has_ended.await {
        tokio::spawn(tokio::time::timeout(DRAIN_TIME, async move {
            while let Some(Ok(data)) = next(&mut body).await {
                left = left.saturating_sub(data.len() as u64);
                if left == 0 {
                    return;
                }
            }
        }));
    }
}

/// The next data of a body. Trailers are skipped.
async fn next(body: &mut Body) -> Option<Result<Bytes, BoxError>> {
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await? {
            Ok(frame) => match frame.into_data() {
                Ok(data) => return Some(Ok(data)),
                Err(_trailers) => {}
            },
            Err(error) => return Some(Err(error)),
        }
    }
}

fn reason(error: BoxError) -> Error {
    error.downcast::<Error>().map_or_else(Error::Protocol, |error| *error)
}
