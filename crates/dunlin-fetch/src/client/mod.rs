//! The client: connections to origins, and requests on them.

mod address;
mod alarm;
mod conn;
mod health;
mod incoming;
mod origin;
mod outgoing;
mod relay;
mod send;
mod tls;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use dunlin_http::{Body, Metric};
use http::header::{CONNECTION, HOST, TE, UPGRADE};
use http::{Request, Response, Uri};
use parking_lot::Mutex;
use rustls::RootCertStore;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use address::Address;

pub(crate) use address::without_secrets;
pub(crate) use origin::Origin;
pub(crate) use send::{Answer, Hear, Terms, Upgraded};

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
    origins: Mutex<HashMap<Address, Arc<Origin>>>,
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
    failures: AtomicUsize,
    pub(crate) tunnels: AtomicUsize,
    pub(crate) open_tunnels: AtomicUsize,
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
    /// Requests that failed, by whatever cause.
    pub failures: usize,
    /// Connections that were taken over by another protocol.
    pub tunnels: usize,
    /// Those of them that are open at present.
    pub open_tunnels: usize,
}

// === impl ClientStats ===

impl ClientStats {
    /// The figures with their descriptions.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { requests, retries, opened, idle, failures, tunnels, open_tunnels } = *self;
        let counter = |name, help, value: usize| Metric::counter(name, help, value as u64);
        vec![
            counter("dunlin_fetch_requests_total", "Requests to upstreams, retries not counted.", requests),
            counter("dunlin_fetch_retries_total", "Requests sent again: a kept connection was closed.", retries),
            counter("dunlin_fetch_opened_total", "Connections to upstreams that were opened.", opened),
            Metric::gauge("dunlin_fetch_idle", "Connections to upstreams that are kept unused.", idle as f64),
            counter("dunlin_fetch_failures_total", "Requests to upstreams that failed.", failures),
            Metric::gauge("dunlin_fetch_tunnels", "Tunnels to upstreams that are open.", open_tunnels as f64),
            counter("dunlin_fetch_tunnels_total", "Connections that changed to another protocol.", tunnels),
        ]
    }
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

    /// Sends one request and gives the head of its answer; the body streams. Redirects are answers
    /// like any other.
    ///
    /// `Host` and the framing of the body are set here. Fields that concern one connection only
    /// (RFC 9110 §7.6.1) have no place in `request`: they are removed.
    ///
    /// # Errors
    /// [`FetchError`], of which those that concern the answer's body come with the body.
    pub async fn request(&self, request: Request<Body>) -> Result<Response<Body>, FetchError> {
        let (origin, target) = self.resolve(request.uri())?;
        let (mut parts, body) = request.into_parts();
        for name in [CONNECTION, TE, UPGRADE] {
            parts.headers.remove(name);
        }
        parts.headers.insert(HOST, origin.host.clone());
        parts.uri = target;
        let answer = origin.send(Request::from_parts(parts, body), self.shared().terms(), None, None).await?;
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
            failures: get(&stats.failures),
            tunnels: get(&stats.tunnels),
            open_tunnels: get(&stats.open_tunnels),
        }
    }

    /// The origin of `uri`, with its connections, and the target to ask it for.
    pub(crate) fn resolve(&self, uri: &Uri) -> Result<(Arc<Origin>, Uri), FetchError> {
        let (origin, path) = self.origin_and_path(uri)?;
        let target = match uri.path_and_query() {
            Some(whole) if path == whole.path() => whole.clone().into(),
            // The path of a Unix socket's URL stands behind the socket's.
            whole => {
                let query = whole.and_then(|whole| whole.query()).map_or_else(String::new, |query| format!("?{query}"));
                let path = if path.is_empty() { "/" } else { &path };
                format!("{path}{query}").parse().map_err(|_| FetchError::Uri(without_secrets(uri)))?
            }
        };
        Ok((origin, target))
    }

    /// The origin of `uri`, with its connections, and the path on it.
    pub(crate) fn origin_and_path(&self, uri: &Uri) -> Result<(Arc<Origin>, String), FetchError> {
        let (address, path) = Address::of(uri)?;
        if let Some(origin) = self.pool.origins.lock().get(&address) {
            return Ok((origin.clone(), path));
        }
        let origin = Arc::new(Origin::new(address.clone(), self.pool.shared.clone())?);
        Ok((self.pool.origins.lock().entry(address).or_insert(origin).clone(), path))
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
