//! [`Forward`]: an authenticator that asks another service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use dunlin_http::{Body, BoxError, ClientInfo, Identity, hop_by_hop};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LOCATION, RANGE, SET_COOKIE, TRAILER,
    WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use serde_json::{Map, Value};

use crate::{AuthFuture, Authenticate, Outcome, Refusal, Verified};

/// The limit of a refusal's body, in bytes.
const MAX_BODY: usize = 64 << 10;

/// Request fields that concern the message, not the client. Hop-by-hop fields are not among them.
static MESSAGE_FIELDS: [HeaderName; 12] = [
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
    TRAILER,
];

/// Fields of a refusal that the client receives.
static REFUSAL_FIELDS: [HeaderName; 5] = [CONTENT_TYPE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE, CACHE_CONTROL];

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

/// Sends the head of each request to another service, which admits it with a 2xx status.
///
/// The service receives a GET with the client's fields, and with `X-Forwarded-Method`, `-Proto`,
/// `-Host`, `-Uri` and `-For`. Its response is the response to the client unless it is 2xx or 5xx,
/// so that redirects to a sign-in page work. A failure of the service becomes a 503.
#[derive(Clone)]
pub struct Forward(Arc<Inner>);

struct Inner {
    send: Box<dyn Fn(Request<Body>) -> ResponseFuture + Send + Sync>,
    copy: Vec<HeaderName>,
}

// === impl Forward ===

impl Forward {
    /// Makes an authenticator that sends its requests with `send`.
    ///
    /// The fields `copy` of a 2xx response replace those of the client's request. They are also the
    /// claims, and the first of them is the subject.
    #[must_use]
    pub fn new<F, R>(send: F, copy: Vec<HeaderName>) -> Self
    where
        F: Fn(Request<Body>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
    {
        Self(Arc::new(Inner { send: Box::new(move |request| Box::pin(send(request))), copy }))
    }
}

impl Authenticate for Forward {
    fn authenticate(&self, request: &Parts, client: &ClientInfo) -> AuthFuture {
        let (inner, request) = (self.0.clone(), subrequest(request, client));
        AuthFuture::boxed(async move {
            match (inner.send)(request).await {
                Ok(response) if response.status().is_success() => inner.admit(response.headers()).into(),
                Ok(response) if !response.status().is_server_error() => refuse(response).await.into(),
                Ok(response) => {
                    tracing::warn!(
                        status = response.status().as_u16(),
                        "the authentication service failed; responding with 503"
                    );
                    Refusal::Unavailable { retry_after: 1 }.into()
                }
                Err(error) => {
                    tracing::warn!(%error, "the authentication service cannot be reached; responding with 503");
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
    /// The identity and the fields in a 2xx response.
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

/// The request to the service: the head of the client's request, without [`MESSAGE_FIELDS`].
fn subrequest(original: &Parts, client: &ClientInfo) -> Request<Body> {
    let mut headers = original.headers.clone();
    hop_by_hop::remove(&mut headers);
    hop_by_hop::remove_all(&mut headers, &MESSAGE_FIELDS);
    let target = original.uri.path_and_query().map_or("/", |target| target.as_str());
    let fields = [
        ("x-forwarded-method", HeaderValue::from_str(original.method.as_str()).ok()),
        ("x-forwarded-uri", HeaderValue::from_str(target).ok()),
        ("x-forwarded-proto", Some(HeaderValue::from_static(client.scheme()))),
        ("x-forwarded-host", host(original)),
        ("x-forwarded-for", client.ip.and_then(|ip| HeaderValue::from_str(&ip.to_canonical().to_string()).ok())),
    ];
    for (name, value) in fields {
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

/// The host that a request is for. RFC 9112 §3.2.2: a host in the URI has precedence over `Host`,
/// which a request of HTTP/2 need not have.
fn host(request: &Parts) -> Option<HeaderValue> {
    let authority = request.uri.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    authority.and_then(Result::ok).or_else(|| request.headers.get(HOST).cloned())
}

/// The service's response to the client, with a limited body.
async fn refuse(response: Response<Body>) -> Refusal {
    let (parts, body) = response.into_parts();
    let mut response = Response::new(Body::from(body.collect(MAX_BODY).await.unwrap_or_default()));
    *response.status_mut() = parts.status;
    for (name, value) in parts.headers.iter().filter(|(name, _)| REFUSAL_FIELDS.contains(name)) {
        response.headers_mut().append(name, value.clone());
    }
    // The response is for this client only.
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    Refusal::Response(Box::new(response))
}
