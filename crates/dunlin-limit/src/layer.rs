//! [`RateLimitLayer`]: a rate limit as a tower layer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::{Body, BoxError, ClientInfo, Problem};
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Decision, Limiter, Quota, client_key};

/// The function that finds the key of a request.
type KeyOf = Arc<dyn Fn(&http::request::Parts) -> Vec<u8> + Send + Sync>;

/// Responds to requests over a quota with 429 (Too Many Requests, RFC 6585 §4) and `Retry-After`.
///
/// All services and clones of a layer share one [`Limiter`]. Without [`key`](Self::key), the quota
/// is per client: a request names its client by a [`ClientInfo`] in its extensions.
#[derive(Clone)]
#[must_use]
pub struct RateLimitLayer {
    limiter: Arc<Limiter>,
    key: Option<KeyOf>,
    dry_run: bool,
}

/// The service of a [`RateLimitLayer`].
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    layer: RateLimitLayer,
}

pin_project! {
    /// The future of a [`RateLimit`]: a refusal, or the inner response.
    #[project = FutureProjection]
    #[must_use = "futures do nothing unless polled"]
    pub struct RateLimitFuture<F> {
        refusal: Option<Response<Body>>,
        #[pin]
        inner: Option<F>,
    }
}

// === impl RateLimitLayer ===

impl RateLimitLayer {
    /// Limits each client to `quota`.
    pub fn new(quota: Quota) -> Self {
        Self::with_limiter(Arc::new(Limiter::new(quota)))
    }

    /// Limits clients with a limiter that other layers may share.
    pub fn with_limiter(limiter: Arc<Limiter>) -> Self {
        Self { limiter, key: None, dry_run: false }
    }

    /// Sets the function that returns the key of a request, for example a field. The default key is
    /// the client's address.
    pub fn key(mut self, key: impl Fn(&http::request::Parts) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Only counts requests over the quota, and does not refuse them.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// The limiter, for example for its [`Stats`](crate::Stats).
    #[must_use]
    pub fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    fn decide(&self, parts: &http::request::Parts) -> Decision {
        match &self.key {
            Some(key) => self.limiter.check(&key(parts)),
            None => {
                let client = parts.extensions.get::<ClientInfo>().and_then(|client| client.ip);
                self.limiter.check(client_key(client).as_bytes())
            }
        }
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limiter", &self.limiter.stats())
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit { inner, layer: self.clone() }
    }
}

/// The response to a request over its quota: a problem document with `Retry-After` in seconds,
/// rounded up.
#[must_use]
pub fn refusal(retry_after: Duration) -> Response<Body> {
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    Problem::new(StatusCode::TOO_MANY_REQUESTS)
        .header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
        .detail("too many requests; wait for the time that Retry-After gives")
        .into_response()
}

// === impl RateLimit ===

impl<S, A, B> Service<Request<A>> for RateLimit<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = RateLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (parts, body) = request.into_parts();
        match self.layer.decide(&parts) {
            Decision::Refused { retry_after } if !self.layer.dry_run => {
                RateLimitFuture { refusal: Some(refusal(retry_after)), inner: None }
            }
            _ => RateLimitFuture { refusal: None, inner: Some(self.inner.call(Request::from_parts(parts, body))) },
        }
    }
}

impl<F, B, E> Future for RateLimitFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let FutureProjection { refusal, inner } = self.project();
        match (inner.as_pin_mut(), refusal.take()) {
            (_, Some(refusal)) => Poll::Ready(Ok(refusal)),
            (Some(inner), None) => inner.poll(cx).map_ok(|response| response.map(Body::new)),
            // A poll after completion breaks the contract of futures. It stays pending.
            (None, None) => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for RateLimitFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitFuture").field("refused", &self.refusal.is_some()).finish_non_exhaustive()
    }
}
