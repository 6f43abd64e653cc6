//! A cache, an origin that replies by a script and counts, and a clock that a test advances.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dunlin_cache::{Cache, CacheService, Config, RoutePolicy};
use dunlin_http::{Body, Clock, FromTower, Handler, ReplyFuture};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tower::{Layer, Service, ServiceExt};

pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

/// A cache in front of a scripted origin.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) cache: Cache,
    pub(crate) origin: Origin,
    pub(crate) clock: Clock,
    service: CacheService<Origin>,
    /// The same for callers of the `Handler`.
    handler: CacheService<FromTower<Origin>>,
}

/// An origin that gives its replies one after the other, and repeats the last one.
#[derive(Clone, Default)]
pub(crate) struct Origin(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    seen: Vec<Request<()>>,
}

type Made = Pin<Box<dyn Future<Output = Result<Response<Body>, Refused>> + Send>>;
type Reply = Arc<dyn Fn(&Request<()>) -> Made + Send + Sync>;

/// The origin could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// A response that was read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The start of the virtual time: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) const START: u64 = 784_111_777;

/// The date at this offset in seconds from the start.
pub(crate) fn date(offset: i64) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(START.saturating_add_signed(offset));
    dunlin_http::date::format(at).to_str().unwrap().to_owned()
}

pub(crate) fn headers(fields: Fields<'_>) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

pub(crate) fn response(status: u16, fields: Fields<'_>, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    *response.headers_mut() = headers(fields);
    response
}

pub(crate) fn request(method: &str, path: &str, fields: Fields<'_>) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = path.parse().unwrap();
    *request.headers_mut() = headers(fields);
    request.headers_mut().entry("host").or_insert(HeaderValue::from_static("example.com"));
    request
}

// === impl World ===

impl World {
    /// A route with the default policy.
    pub(crate) fn new() -> Self {
        Self::with(RoutePolicy::default())
    }

    pub(crate) fn with(policy: RoutePolicy) -> Self {
        Self::configured(Config::default(), policy)
    }

    pub(crate) fn configured(config: Config, policy: RoutePolicy) -> Self {
        let clock = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(START));
        let cache = Cache::with_clock(config, clock.clone());
        let origin = Origin::default();
        let layer = cache.layer(policy);
        let (service, handler) = (layer.layer(origin.clone()), layer.layer(FromTower(origin.clone())));
        Self { cache, origin, clock, service, handler }
    }

    /// Another route of the same cache and origin.
    pub(crate) fn route(&self, policy: RoutePolicy) -> Self {
        let layer = self.cache.layer(policy);
        let (service, handler) = (layer.layer(self.origin.clone()), layer.layer(FromTower(self.origin.clone())));
        Self { service, handler, ..self.clone() }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Answer, Refused> {
        let response = self.service.clone().oneshot(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect(1 << 30).await.map_err(|_| Refused)?;
        settle().await;
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// The reply as a server gets it.
    pub(crate) async fn reply(&self, request: Request<Body>) -> dunlin_http::Reply {
        self.handle(request).await.unwrap()
    }

    /// The future of the reply, after the look-up.
    pub(crate) fn handle(&self, request: Request<Body>) -> ReplyFuture<Refused> {
        self.handler.handle(request, &())
    }

    /// The response before its body is read.
    pub(crate) async fn open(&self, request: Request<Body>) -> Response<Body> {
        self.service.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn fetch(&self, method: &str, path: &str, fields: Fields<'_>) -> Answer {
        self.send(request(method, path, fields)).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str, fields: Fields<'_>) -> Answer {
        self.fetch("GET", path, fields).await
    }
}

/// Lets other tasks run, such as those that store a response.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

// === impl Origin ===

impl Origin {
    fn push(&self, reply: Reply) {
        self.0.lock().unwrap().replies.push_back(reply);
    }

    /// Adds a reply.
    pub(crate) fn reply(&self, status: u16, fields: Fields<'_>, body: &str) -> &Self {
        let (fields, body) = (headers(fields), body.to_owned());
        self.reply_with(move |_| {
            let mut made = response(status, &[], body.clone());
            *made.headers_mut() = fields.clone();
            made
        })
    }

    /// Adds a reply that depends on the request.
    pub(crate) fn reply_with(&self, make: impl Fn(&Request<()>) -> Response<Body> + Send + Sync + 'static) -> &Self {
        self.push(Arc::new(move |request| {
            let made = make(request);
            Box::pin(async { Ok(made) })
        }));
        self
    }

    /// Adds a reply that takes time.
    pub(crate) fn reply_later<F>(&self, make: impl Fn() -> F + Send + Sync + 'static) -> &Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        self.push(Arc::new(move |_| {
            let made = make();
            Box::pin(async { Ok(made.await) })
        }));
        self
    }

    /// Adds an error.
    pub(crate) fn refuse(&self) -> &Self {
        self.push(Arc::new(|_| Box::pin(async { Err(Refused) })));
        self
    }

    /// Removes the remaining replies.
    pub(crate) fn forget(&self) -> &Self {
        self.0.lock().unwrap().replies.clear();
        self
    }

    /// The number of requests so far.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().seen.len()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Request<()> {
        self.0.lock().unwrap().seen.last().cloned().unwrap()
    }
}

impl Service<Request<Body>> for Origin {
    type Response = Response<Body>;
    type Error = Refused;
    type Future = Made;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Made {
        let mut script = self.0.lock().unwrap();
        let reply = match script.replies.len() {
            0 => panic!("the script has no reply left: {request:?}"),
            1 => Arc::clone(&script.replies[0]),
            _ => script.replies.pop_front().unwrap(),
        };
        let request = request.map(drop);
        script.seen.push(request.clone());
        drop(script);
        reply(&request)
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn lines(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|line| line.to_str().unwrap()).collect()
    }

    pub(crate) fn cache_status(&self) -> &str {
        self.field("cache-status")
    }

    pub(crate) fn is_hit(&self) -> bool {
        self.cache_status().starts_with("dunlin; hit")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
