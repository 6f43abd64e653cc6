//! [`FetchService`]: a handler that responds with the text of a page.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use dunlin_http::media_type::MediaType;
use dunlin_http::{Body, Handler, ReplyFuture, ResponseFuture};
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, Response, Uri};

use super::get::{Page, Text};
use crate::client::without_secrets;
use crate::{Client, Error};

/// A handler and a tower service that responds to each request with the text of one page, or with
/// its first characters.
///
/// With `take`, the response is `text/plain`, because a part of a document is not a document of its
/// type. This also applies to short pages, so that the type does not depend on the length. The
/// response is in UTF-8, and has the upstream's `Cache-Control`, `Expires` and `Age`, so that a
/// cache in front can store it. An error becomes the response of [`Error::problem`].
#[derive(Clone, Debug)]
pub struct FetchService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    page: Page,
    take: Option<usize>,
}

// === impl FetchService ===

impl FetchService {
    /// Makes a service for the page at `uri`, or for its first `take` characters.
    ///
    /// # Errors
    /// [`Error::Uri`] if `uri` is not an http or https URL.
    pub fn new(client: Client, uri: &Uri, take: Option<usize>) -> Result<Self, Error> {
        let page = Page::new(&client, uri)?;
        Ok(Self(Arc::new(Inner { client, page, take })))
    }

    fn fetch(&self) -> ReplyFuture {
        let inner = self.0.clone();
        ReplyFuture::response(async move { inner.fetch().await })
    }
}

impl<C> Handler<C> for FetchService {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, _: Request<Body>, _: &C) -> ReplyFuture {
        self.fetch()
    }
}

impl<B> tower_service::Service<Request<B>> for FetchService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<ReplyFuture>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ResponseFuture::new(self.fetch())
    }
}

// === impl Inner ===

impl Inner {
    async fn fetch(&self) -> Response<Body> {
        match self.client.get_page(&self.page, self.take).await {
            Ok(text) => response(text, self.take.is_some()),
            Err(error) => {
                tracing::debug!("cannot fetch {}: {error}", without_secrets(&self.page.uri));
                error.problem().into_response()
            }
        }
    }
}

fn response(text: Text, plain: bool) -> Response<Body> {
    let content_type = if plain { None } else { text.headers.get(CONTENT_TYPE).and_then(in_utf8) };
    let mut response = Response::new(Body::from(text.text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("text/plain; charset=utf-8")));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for name in [CACHE_CONTROL, EXPIRES, AGE] {
        // Most responses have at most one of them.
        if text.headers.contains_key(&name) {
            headers.extend(text.headers.get_all(&name).iter().map(|value| (name.clone(), value.clone())));
        }
    }
    response
}

/// The same media type with the charset that the text has now. JSON has no charset (RFC 8259 §11).
fn in_utf8(value: &HeaderValue) -> Option<HeaderValue> {
    let media = MediaType::parse(value.to_str().ok()?)?;
    let essence = media.essence();
    if media.is_json() { essence.parse().ok() } else { format!("{essence}; charset=utf-8").parse().ok() }
}
