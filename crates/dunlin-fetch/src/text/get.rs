//! [`Client::get_text`]: a page as text.

use std::sync::Arc;

use dunlin_http::Body;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};

use super::{read, redirect};
use crate::client::Origin;
use crate::{Client, Error};

/// The text of a page.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Text {
    /// The characters.
    pub text: String,
    /// The header fields of the response. `Content-Type` and `Content-Length` describe the whole
    /// page.
    pub headers: HeaderMap,
}

/// A page to fetch: its origin, and the request for it.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) uri: Uri,
    origin: Arc<Origin>,
    /// The request target.
    target: Uri,
    headers: HeaderMap,
}

// === impl Text ===

impl Text {
    /// The `Content-Type` of the page.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get(CONTENT_TYPE)?.to_str().ok()
    }
}

// === impl Client ===

impl Client {
    /// Fetches a page with GET, as text: all of it, or its first `take` characters.
    ///
    /// The encoding is that of the byte order mark, the `charset` of Content-Type, or the `<meta
    /// charset>` in the first 1,024 bytes of HTML, and UTF-8 otherwise. Malformed bytes become
    /// U+FFFD. With `take`, the client reads no more than it needs. It follows redirects, but never
    /// from `https` to `http`.
    ///
    /// # Errors
    /// [`Error`]. A response that is not a success is [`Error::Status`].
    pub async fn get_text(&self, uri: &Uri, take: Option<usize>) -> Result<Text, Error> {
        self.get_page(&Page::new(self, uri)?, take).await
    }

    /// Fetches `page`, and follows redirects.
    pub(super) async fn get_page(&self, page: &Page, take: Option<usize>) -> Result<Text, Error> {
        let config = &self.shared().config;
        let mut redirected;
        let mut page = page;
        for _ in 0..=config.max_redirects {
            let (parts, body) = page.send(self).await?.into_parts();
            if parts.status.is_success() {
                let text = read::text(&parts.headers, body, take, config.max_text).await?;
                return Ok(Text { text, headers: parts.headers });
            }
            read::drain(body).await;
            if !matches!(parts.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(Error::Status(parts.status));
            }
            redirected = Page::new(self, &redirect::location(&page.uri, &parts.headers)?)?;
            page = &redirected;
        }
        Err(Error::Redirect("there are too many"))
    }
}

// === impl Page ===

impl Page {
    /// The page at `uri`.
    pub(super) fn new(client: &Client, uri: &Uri) -> Result<Self, Error> {
        let (origin, target) = client.resolve(uri)?;
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(HOST, origin.host.clone());
        // This client decodes no content codings.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("dunlin/", env!("CARGO_PKG_VERSION"))));
        Ok(Self { uri: uri.clone(), origin, target, headers })
    }

    fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    async fn send(&self, client: &Client) -> Result<Response<Body>, Error> {
        let rebuild = || self.request();
        self.origin.send(self.request(), client.shared().options(), Some(&rebuild), None).await?.not_upgraded()
    }
}
