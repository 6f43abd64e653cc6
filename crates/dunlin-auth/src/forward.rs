//! [`Forward`]: another service decides.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use dunlin_http::{Body, BoxError, ClientInfo, Identity};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LOCATION, RANGE, SET_COOKIE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use serde_json::{Map, Value};

use crate::{AuthFuture, Authenticate, Outcome, Refusal, Verified};

/// Bytes of a refusing response that are passed on.
const MAX_BODY: usize = 64 << 10;

/// Request fields that are about the message and not about the client.
static OF_THE_MESSAGE: [HeaderName; 17] = [
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    EXPECT,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_RANGE,
    RANGE,
    ACCEPT_ENCODING,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Response fields that reach the browser with a refusal.
static PASSED_ON: [HeaderName; 5] = [CONTENT_TYPE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE, CACHE_CONTROL];

type Asked = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

/// Sends the head of each request to another service, which admits it with a 2xx status.
///
/// The service gets a GET with the client's fields, and with `X-Forwarded-Method`, `-Proto`,
/// `-Host`, `-Uri` and `-For` that tell of the request. Any response but 2xx and 5xx is the
/// client's response, so that redirects to a page for signing in work. A service that fails is 503.
#[derive(Clone)]
pub struct Forward(Arc<Inner>);

struct Inner {
    ask: Box<dyn Fn(Request<Body>) -> Asked + Send + Sync>,
    copy: Vec<HeaderName>,
}

// === impl Forward ===

impl Forward {
    /// Asks through `ask`, which sends the request to the service. The fields `copy` of a 2xx
    /// response replace the client's own, and are claims; the first of them is the subject.
    #[must_use]
    pub fn new<F, R>(ask: F, copy: Vec<HeaderName>) -> Self
    where
        F: Fn(Request<Body>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
    {
        Self(Arc::new(Inner { ask: Box::new(move |request| Box::pin(ask(request))), copy }))
    }
}

impl Authenticate for Forward {
    fn authenticate(&self, request: &Parts, client: &ClientInfo) -> AuthFuture {
        let (inner, request) = (self.0.clone(), subrequest(request, client));
        AuthFuture::boxed(async move {
            match (inner.ask)(request).await {
                Ok(response) if response.status().is_success() => inner.admit(response.headers()).into(),
                Ok(response) if !response.status().is_server_error() => refuse(response).await.into(),
                Ok(response) => {
                    tracing::warn!(status = response.status().as_u16(), "the authentication service failed");
                    Refusal::Unavailable { retry_after: 1 }.into()
                }
                Err(error) => {
                    tracing::warn!(%error, "the authentication service cannot be reached");
                    Refusal::Unavailable { retry_after: 1 }.into()
                }
            }
        })
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("copy", &self.0.copy).finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    fn admit(&self, headers: &HeaderMap) -> Verified {
        let mut claims = Map::new();
        let mut fields = Vec::with_capacity(self.copy.len());
        for name in &self.copy {
            let value = headers.get(name);
            if let Some(text) = value.and_then(|value| value.to_str().ok()) {
                claims.insert(name.as_str().to_owned(), Value::String(text.to_owned()));
                claims.entry("sub").or_insert_with(|| Value::String(text.to_owned()));
            }
            fields.push((name.clone(), value.cloned()));
        }
        Verified { identity: Arc::new(Identity::new(claims)), fields }
    }
}

impl From<Verified> for Outcome {
    fn from(verified: Verified) -> Self {
        Self::Verified(verified)
    }
}

/// The request to the service: the head of the client's request, without what frames its message.
fn subrequest(original: &Parts, client: &ClientInfo) -> Request<Body> {
    let mut headers = original.headers.clone();
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != HOST)
        .collect();
    for name in named.iter().chain(&OF_THE_MESSAGE) {
        headers.remove(name);
    }
    let target = original.uri.path_and_query().map_or("/", |target| target.as_str());
    let told = [
        ("x-forwarded-method", HeaderValue::from_str(original.method.as_str()).ok()),
        ("x-forwarded-uri", HeaderValue::from_str(target).ok()),
        ("x-forwarded-proto", Some(HeaderValue::from_static(client.scheme()))),
        ("x-forwarded-host", original.headers.get(HOST).cloned()),
        ("x-forwarded-for", client.ip.and_then(|ip| HeaderValue::from_str(&ip.to_canonical().to_string()).ok())),
    ];
    for (name, value) in told {
        let name = HeaderName::from_static(name);
        match value {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(name)),
        }
    }
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::GET;
    *request.headers_mut() = headers;
    request
}

/// The service's own response to the client, with a bounded body.
async fn refuse(response: Response<Body>) -> Refusal {
    let (parts, body) = response.into_parts();
    let mut response = Response::new(Body::from(body.collect(MAX_BODY).await.unwrap_or_default()));
    *response.status_mut() = parts.status;
    for (name, value) in parts.headers.iter().filter(|(name, _)| PASSED_ON.contains(name)) {
        response.headers_mut().append(name, value.clone());
    }
    // The response is about this client alone.
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    Refusal::Response(Box::new(response))
}
