//! Text of an upstream.

mod charset;
mod decode;
mod redirect;
mod service;

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::{Body, BoxError};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body::Body as _;

use crate::client::Origin;
use crate::{Client, FetchError};
use decode::Decode;
pub use service::FetchService;

/// How much of a body that nobody wants is read, so that its connection can be used again.
const DRAIN: u64 = 64 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The text of an answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Text {
    /// The characters.
    pub text: String,
    /// The header fields of the answer; `Content-Type` and `Content-Length` are those of the whole.
    pub headers: HeaderMap,
}

/// A text to fetch, resolved.
#[derive(Clone, Debug)]
struct Target {
    origin: std::sync::Arc<Origin>,
    /// The target that the origin is asked for.
    path: Uri,
    uri: Uri,
    headers: HeaderMap,
}

// === impl Text ===

impl Text {
    /// The `Content-Type` of the answer.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get(CONTENT_TYPE)?.to_str().ok()
    }
}

// === impl Client ===

impl Client {
    /// Fetches a text by GET: all of it, or its first `take` characters.
    ///
    /// The bytes are decoded by the byte order mark, the `charset` of Content-Type, the
    /// `<meta charset>` in the first 1,024 bytes of HTML, else as UTF-8; what is malformed becomes
    /// U+FFFD. With `take`, no more is read than that needs. Redirects are followed, but never from
    /// `https` to `http`.
    ///
    /// # Errors
    /// [`FetchError`]: an answer that is no success is [`FetchError::Status`].
    pub async fn get_text(&self, uri: &Uri, take: Option<usize>) -> Result<Text, FetchError> {
        self.get_target(&Target::new(self, uri)?, take).await
    }

    async fn get_target(&self, target: &Target, take: Option<usize>) -> Result<Text, FetchError> {
        let config = &self.shared().config;
        let mut moved;
        let mut target = target;
        for _ in 0..=config.max_redirects {
            let (parts, body) = target.send(self).await?.into_parts();
            if parts.status.is_success() {
                return read(parts.headers, body, take, config.max_text).await;
            }
            drain(body).await;
            if !matches!(parts.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(FetchError::Status(parts.status));
            }
            moved = Target::new(self, &target.redirected(&parts.headers)?)?;
            target = &moved;
        }
        Err(FetchError::Redirect("there are too many"))
    }
}

// === impl Target ===

impl Target {
    fn new(client: &Client, uri: &Uri) -> Result<Self, FetchError> {
        let (origin, path) = client.resolve(uri)?;
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(HOST, origin.host.clone());
        // Text is wanted, not an encoding of it.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("dunlin/", env!("CARGO_PKG_VERSION"))));
        Ok(Self { origin, uri: uri.clone(), path, headers })
    }

    fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    async fn send(&self, client: &Client) -> Result<Response<Body>, FetchError> {
        let again = || self.request();
        let answer = self.origin.send(self.request(), client.shared().terms(), Some(&again), None).await?;
        if answer.upgraded.is_some() {
            return Err(FetchError::Protocol("101 that nobody asked for".into()));
        }
        Ok(answer.response)
    }

    /// Where an answer with these fields sends its reader.
    fn redirected(&self, headers: &HeaderMap) -> Result<Uri, FetchError> {
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let location = location.ok_or(FetchError::Redirect("it has no Location"))?;
        let next = redirect::resolve(&self.uri, location).ok_or(FetchError::Redirect("its Location is no URL"))?;
        if self.uri.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
            return Err(FetchError::Redirect("it leaves https"));
        }
        Ok(next)
    }
}

/// Reads as much of `body` as the text needs.
async fn read(headers: HeaderMap, mut body: Body, take: Option<usize>, max: usize) -> Result<Text, FetchError> {
    let coded =
        headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if coded {
        return Err(FetchError::Protocol("a Content-Encoding that was not asked for".into()));
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut decode = Decode::new(content_type, take);
    let mut left = max;
    loop {
        match next(&mut body).await {
            Some(Ok(data)) => {
                // Of a text that is cut anyway, what is wanted may stand before the bound.
                let within = &data[..data.len().min(left)];
                if decode.push(within, false) {
                    drain(body).await;
                    break;
                }
                left = left.checked_sub(data.len()).ok_or(FetchError::TooLarge(max))?;
            }
            Some(Err(error)) => return Err(reason(error)),
            None => {
                decode.push(b"", true);
                break;
            }
        }
    }
    let text = decode.finish();
    Ok(Text { text, headers })
}

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

fn reason(error: BoxError) -> FetchError {
    error.downcast::<FetchError>().map_or_else(FetchError::Protocol, |error| *error)
}

/// Reads the rest of a body if it is little, so that its connection can be used again. What has not
/// arrived yet is awaited elsewhere.
async fn drain(mut body: Body) {
    let mut left = DRAIN;
    let ready = std::future::poll_fn(|cx| {
        loop {
            if body.is_end_stream() || body.size_hint().lower() > left {
                return std::task::Poll::Ready(true);
            }
            match Pin::new(&mut body).poll_frame(cx) {
                std::task::Poll::Ready(Some(Ok(frame))) => {
                    left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
                }
                std::task::Poll::Ready(_) => return std::task::Poll::Ready(true),
                std::task::Poll::Pending => return std::task::Poll::Ready(false),
            }
            if left == 0 {
                return std::task::Poll::Ready(true);
            }
        }
    });
    if !ready.await {
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
