//! The client: connections to origins, and requests on them.

mod alarm;
mod conn;
mod incoming;
mod origin;
mod outgoing;
mod tls;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use dunlin_http::Body;
use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, Request, Response, Uri, Version};
use parking_lot::Mutex;
use rustls::RootCertStore;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use conn::{Driver, Failure, Patience};
use incoming::{Drive, Incoming};
use origin::{Key, Lease};
use outgoing::{Outgoing, Upload};

pub(crate) use origin::Origin;

use crate::{Config, FetchError};

/// A client with a pool of connections. Clones share the pool.
///
/// Make one for each event loop: its connections belong to the runtime they were opened on.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Arc<Pool>,
}

/// What clones share.
struct Pool {
    shared: Arc<Shared>,
    origins: Mutex<HashMap<Key, Arc<Origin>>>,
}

/// What the client and its origins share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    extra_roots: Option<RootCertStore>,
    tls: OnceLock<TlsConnector>,
    pub(crate) stats: Stats,
    pool: Weak<Pool>,
}

/// Counters, since the client was made.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    opened: AtomicUsize,
    idle: AtomicUsize,
    requests: AtomicUsize,
    retries: AtomicUsize,
    pub(crate) tunnels: AtomicUsize,
}

/// What a client has done so far, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Requests sent, retries not counted.
    pub requests: usize,
    /// Requests that were sent again because a kept connection had been closed.
    pub retries: usize,
    /// Connections opened.
    pub opened: usize,
    /// Connections kept unused at present.
    pub idle: usize,
    /// Connections that were taken over by another protocol.
    pub tunnels: usize,
}

/// What may differ from one request to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) response_timeout: Duration,
    pub(crate) read_timeout: Duration,
    /// How long to wait for `100 Continue` before the body is sent.
    pub(crate) expect: Option<Duration>,
    pub(crate) retry: bool,
}

/// An answer, and the connection if it was upgraded.
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) upgraded: Option<Upgraded>,
}

/// A connection that another protocol takes over.
pub(crate) struct Upgraded {
    /// What hands it over, unless it has done so already.
    pub(crate) driver: Option<Driver>,
    /// Counts as in use to the end.
    _lease: Lease,
}

// === impl Client ===

impl Client {
    /// A client without connections.
    ///
    /// # Errors
    /// [`FetchError::Certificates`] when `ca_file` cannot be read.
    pub fn new(config: Config) -> Result<Self, FetchError> {
        let extra_roots = config.ca_file.as_deref().map(tls::read_file).transpose()?;
        let pool = Arc::new_cyclic(|pool| {
            let (tls, stats, pool) = (OnceLock::new(), Stats::default(), pool.clone());
            Pool { shared: Arc::new(Shared { config, extra_roots, tls, stats, pool }), origins: Mutex::default() }
        });
        Ok(Self { pool })
    }

    /// Sends one request and gives the head of its answer; the body streams. Redirects are answers like any other.
    ///
    /// `Host` and the framing of the body are set here. Fields that concern one connection only (RFC 9110 §7.6.1) have
    /// no place in `request`: they are removed.
    ///
    /// # Errors
    /// [`FetchError`], of which those that concern the answer's body come with the body.
    pub async fn request(&self, request: Request<Body>) -> Result<Response<Body>, FetchError> {
        let origin = self.origin(request.uri())?;
        let (mut parts, body) = request.into_parts();
        for name in [CONNECTION, TE, UPGRADE] {
            parts.headers.remove(name);
        }
        parts.headers.insert(HOST, origin.host.clone());
        parts.uri = parts.uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| path.clone().into());
        let answer = origin.send(Request::from_parts(parts, body), self.shared().terms()).await?;
        if answer.upgraded.is_some() {
            return Err(FetchError::Protocol("101 that nobody asked for".into()));
        }
        Ok(answer.response)
    }

    /// What it has done so far, and what it holds.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        let stats = &self.shared().stats;
        let get = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        ClientStats {
            requests: get(&stats.requests),
            retries: get(&stats.retries),
            opened: get(&stats.opened),
            idle: get(&stats.idle),
            tunnels: get(&stats.tunnels),
        }
    }

    /// The origin of `uri`, with its connections.
    pub(crate) fn origin(&self, uri: &Uri) -> Result<Arc<Origin>, FetchError> {
        let key = Key::of(uri)?;
        if let Some(origin) = self.pool.origins.lock().get(&key) {
            return Ok(origin.clone());
        }
        let origin = Arc::new(Origin::new(&key, self.pool.shared.clone())?);
        Ok(self.pool.origins.lock().entry(key).or_insert(origin).clone())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.pool.shared
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn terms(&self) -> Terms {
        let Config { response_timeout, read_timeout, retry, .. } = self.config;
        Terms { response_timeout, read_timeout, retry, expect: None }
    }

    fn tls(&self) -> Result<TlsConnector, FetchError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let tls = TlsConnector::from(Arc::new(tls::config(self.extra_roots.as_ref())?));
        Ok(self.tls.get_or_init(|| tls).clone())
    }

    /// Closes unused connections in time, as long as there are any.
    fn sweep_later(&self) {
        let (pool, pause) = (self.pool.clone(), self.config.idle_timeout);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(pool) = pool.upgrade() else { return };
                let origins: Vec<_> = pool.origins.lock().values().cloned().collect();
                let now = Instant::now();
                origins.iter().for_each(|origin| origin.sweep(now));
                drop(origins);
                pool.origins.lock().retain(|_, origin| Arc::strong_count(origin) > 1 || !origin.is_unused());
                if pool.shared.stats.idle.load(Ordering::Relaxed) == 0 {
                    return;
                }
            }
        });
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shared { config, stats, .. } = &*self.shared;
        f.debug_struct("Pool").field("config", config).field("stats", stats).finish_non_exhaustive()
    }
}

// === impl Origin ===

impl Origin {
    /// Sends a request whose target and fields are as they shall be, but for the framing of the body.
    pub(crate) async fn send(self: &Arc<Self>, mut request: Request<Body>, terms: Terms) -> Result<Answer, FetchError> {
        Stats::count(&self.shared.stats.requests);
        frame(&mut request);
        // RFC 9112 §9.3.1: only idempotent requests are sent again, and only if nothing of them is lost.
        let replayable = terms.retry && request.method().is_idempotent() && request.body().is_empty();
        let mut replay = replayable.then(|| copy(&request));
        let (parts, body) = request.into_parts();
        let (body, upload) = Outgoing::new(body, terms.expect.is_some());
        let mut request = Request::from_parts(parts, body);
        if let (Some(upload), Some(_)) = (&upload, terms.expect) {
            let upload = upload.clone();
            hyper::ext::on_informational(&mut request, move |_| upload.open());
        }
        let patience = Patience { head: terms.response_timeout, gate: terms.expect };
        let mut fresh = false;
        loop {
            let mut lease = self.lease(fresh).await?;
            let Some(conn) = &mut lease.conn else { return Err(FetchError::Busy) };
            let reused = conn.reused;
            let failure = match conn.exchange(request, upload.as_deref(), patience).await {
                Ok(response) => return answer(lease, response, upload, terms),
                Err(failure) => failure,
            };
            // Whatever happened, nothing more can come of this connection.
            lease.conn = None;
            drop(lease);
            if let Some(error) = upload.as_ref().and_then(|upload| upload.take_error()) {
                return Err(FetchError::RequestBody(error));
            }
            request = match (failure, replay.take()) {
                (Failure::Unsent(request), copy) if reused => {
                    replay = copy;
                    *request
                }
                (Failure::Unanswered(_), Some(copy)) if reused => {
                    Stats::count(&self.shared.stats.retries);
                    fresh = true;
                    copy
                }
                (Failure::Unsent(_), _) => return Err(FetchError::Protocol("closed before the request".into())),
                (Failure::Unanswered(error) | Failure::Broken(error), _) => {
                    return Err(FetchError::Protocol(error.into()));
                }
                (Failure::Timeout, _) => return Err(FetchError::Timeout(terms.response_timeout)),
            };
        }
    }
}

/// A request without a body like `request`.
fn copy(request: &Request<Body>) -> Request<Outgoing> {
    let (body, _) = Outgoing::new(Body::empty(), false);
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Sets the framing of the body by what the body is, whatever the fields say: a difference between the two would let one
/// request end where another begins.
fn frame(request: &mut Request<Body>) {
    use http::header::CONTENT_LENGTH;

    *request.version_mut() = Version::HTTP_11;
    let len = request.body().len();
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    match len {
        Some(0) if !headers.contains_key(CONTENT_LENGTH) => {}
        Some(len) => drop(headers.insert(CONTENT_LENGTH, len.into())),
        None => {
            headers.remove(CONTENT_LENGTH);
            headers.insert(TRANSFER_ENCODING, http::HeaderValue::from_static("chunked"));
        }
    }
}

fn answer(
    mut lease: Lease,
    response: Response<hyper::body::Incoming>,
    upload: Option<Arc<Upload>>,
    terms: Terms,
) -> Result<Answer, FetchError> {
    let (mut parts, body) = response.into_parts();
    check_framing(&parts).map_err(|error| FetchError::Protocol(error.into()))?;
    parts.version = Version::HTTP_11;
    let Some(conn) = &mut lease.conn else { return Err(FetchError::Busy) };
    if let Some(seconds) = parts.headers.get(&KEEP_ALIVE).and_then(announced) {
        // A second less: what is announced is counted from when the answer was sent.
        conn.idle = Duration::from_secs(seconds.saturating_sub(1));
    }
    if parts.status == http::StatusCode::SWITCHING_PROTOCOLS {
        let upgraded = Some(Upgraded { driver: conn.take_driver(), _lease: lease });
        return Ok(Answer { response: Response::from_parts(parts, Body::empty()), upgraded });
    }
    let drive = match upload {
        Some(upload) if !upload.is_done() => match conn.take_driver() {
            Some(driver) => {
                let task = tokio::spawn(async { drop(driver.await) }).abort_handle();
                Drive::Task { _lease: lease, task }
            }
            None => Drive::Done,
        },
        _ => Drive::Body(lease),
    };
    let body = Body::new(Incoming::new(body, drive, terms.read_timeout));
    Ok(Answer { response: Response::from_parts(parts, body), upgraded: None })
}

/// `Keep-Alive: timeout=5`, as RFC 2068 §19.7.1.1 had it and servers still send it.
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

fn announced(value: &http::HeaderValue) -> Option<u64> {
    dunlin_http::list::split(value.to_str().ok()?).find_map(|part| part.strip_prefix("timeout=")?.trim().parse().ok())
}

/// Refuses an answer that two readers could take to end in two places (RFC 9112 §6.3).
fn check_framing(parts: &http::response::Parts) -> Result<(), &'static str> {
    let mut lines = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = lines.next() else { return Ok(()) };
    if parts.headers.contains_key(http::header::CONTENT_LENGTH) {
        return Err("both Transfer-Encoding and Content-Length");
    }
    if !first.as_bytes().eq_ignore_ascii_case(b"chunked") || lines.next().is_some() {
        return Err("a transfer coding other than chunked");
    }
    Ok(())
}
