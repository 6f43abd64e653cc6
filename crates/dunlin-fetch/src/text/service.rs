//! A route that answers with the text of an upstream.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dunlin_http::media_type::MediaType;
use dunlin_http::{Body, Handler, ReplyFuture};
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, Response, Uri};

use super::{Target, Text};
use crate::{Client, FetchError};

/// A service that answers each request with the text of one URL, or with its first characters.
///
/// What was cut is `text/plain`, for it is no whole document of its type any more; so is everything
/// with `take`, that the type may not depend on the length. The answer is in UTF-8 and has the
/// upstream's `Cache-Control`, `Expires` and `Age`, so that a cache in front may keep it. Errors
/// are answered as [`FetchError::problem`] has them.
#[derive(Clone, Debug)]
pub struct FetchService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    target: Target,
    take: Option<usize>,
}

// === impl FetchService ===

impl FetchService {
    /// Fetches `uri`, and of it `take` characters if there are so many.
    ///
    /// # Errors
    /// [`FetchError::Uri`] when it is no http or https URL.
    pub fn new(client: Client, uri: &Uri, take: Option<usize>) -> Result<Self, FetchError> {
        let target = Target::new(&client, uri)?;
        Ok(Self(Arc::new(Inner { client, target, take })))
    }

    /// Answers one request.
    pub async fn respond(&self) -> Response<Body> {
        let Inner { client, target, take } = &*self.0;
        match client.get_target(target, *take).await {
            Ok(text) => respond(text, take.is_some()),
            Err(error) => {
                tracing::debug!(uri = crate::client::without_secrets(&target.uri), %error, "a page could not be fetched");
                error.problem().into_response()
            }
        }
    }
}

impl<C> Handler<C> for FetchService {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, _: Request<Body>, _: &C) -> ReplyFuture {
        let this = self.clone();
        ReplyFuture::response(async move { this.respond().await })
    }
}

impl<B> tower_service::Service<Request<B>> for FetchService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.respond().await) })
    }
}

fn respond(text: Text, plain: bool) -> Response<Body> {
    let content_type = if plain { None } else { text.headers.get(CONTENT_TYPE).and_then(in_utf8) };
    let mut response = Response::new(Body::from(text.text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("text/plain; charset=utf-8")));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for name in [CACHE_CONTROL, EXPIRES, AGE] {
        // Most answers have one of them at most.
        if text.headers.contains_key(&name) {
            headers.extend(text.headers.get_all(&name).iter().map(|value| (name.clone(), value.clone())));
        }
    }
    response
}

/// The same type in the encoding that the text has now. JSON has no charset (RFC 8259 §11).
fn in_utf8(value: &HeaderValue) -> Option<HeaderValue> {
    let media = MediaType::parse(value.to_str().ok()?)?;
    let essence = media.essence();
    if media.is_json() { essence.parse().ok() } else { format!("{essence}; charset=utf-8").parse().ok() }
}
