//! An origin: who it is, and the connections that are kept to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

use super::conn::Conn;
use super::{Shared, Stats};
use crate::{Config, FetchError};

/// How long a connection is silent before TCP asks whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Scheme and authority; the authority's host is in lower case and has no default port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) https: bool,
    pub(super) authority: Authority,
}

/// An origin and its connections.
pub(crate) struct Origin {
    /// What its `Host` is.
    pub(crate) host: HeaderValue,
    uri: Uri,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connector: HttpConnector,
    pub(crate) shared: Arc<Shared>,
    idle: Mutex<VecDeque<Idle>>,
    permits: Semaphore,
}

struct Idle {
    conn: Conn,
    until: Instant,
}

/// A connection that is taken for one request. Dropped, it goes back if it can be used again.
pub(crate) struct Lease {
    pub(crate) conn: Option<Conn>,
    pub(crate) origin: Arc<Origin>,
}

// === impl Key ===

impl Key {
    pub(super) fn of(uri: &Uri) -> Result<Self, FetchError> {
        let wrong = || FetchError::Uri(uri.to_string());
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(wrong()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?.to_ascii_lowercase();
        // RFC 9110 §4.2.3: an absent port and the default one are the same.
        let authority = match uri.port_u16() {
            Some(port) if port != if https { 443 } else { 80 } => format!("{host}:{port}"),
            _ => host,
        };
        Ok(Self { https, authority: authority.parse().map_err(|_| wrong())? })
    }
}

// === impl Origin ===

impl Origin {
    pub(super) fn new(key: &Key, shared: Arc<Shared>) -> Result<Self, FetchError> {
        let wrong = || FetchError::Uri(key.authority.to_string());
        let scheme = if key.https { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(key.authority.clone()).path_and_query("/").build();
        let tls = if key.https {
            let name = key.authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
            Some((shared.tls()?, ServerName::try_from(name).map_err(|_| wrong())?))
        } else {
            None
        };
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        // Finds out about dead peers behind tunnels and long answers.
        connector.set_keepalive(Some(KEEP_ALIVE));
        let permits = Semaphore::new(shared.config.max_connections.min(Semaphore::MAX_PERMITS));
        let host = HeaderValue::from_str(key.authority.as_str()).map_err(|_| wrong())?;
        let uri = uri.map_err(|_| wrong())?;
        Ok(Self { host, uri, tls, connector, shared, idle: Mutex::default(), permits })
    }

    fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Takes a connection: the one used last if there is one, else a new one. With `fresh`, always a new one.
    pub(crate) async fn lease(self: &Arc<Self>, fresh: bool) -> Result<Lease, FetchError> {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            // Boxed, as below: what is rare should not make the future of each request larger.
            Err(_) => Box::pin(self.wait()).await?,
        };
        permit.forget();
        let mut lease = Lease { conn: None, origin: self.clone() };
        lease.conn = if fresh { None } else { self.take_idle() };
        if lease.conn.is_none() {
            lease.conn = Some(Box::pin(self.connect()).await?);
        }
        Ok(lease)
    }

    async fn wait(&self) -> Result<SemaphorePermit<'_>, FetchError> {
        match tokio::time::timeout(self.config().acquire_timeout, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(FetchError::Busy),
        }
    }

    /// Whether nobody uses it and nothing is kept.
    pub(super) fn is_unused(&self) -> bool {
        self.idle.lock().is_empty() && self.permits.available_permits() >= self.config().max_connections
    }

    fn take_idle(&self) -> Option<Conn> {
        let taken = self.idle.lock().pop_back()?;
        self.shared.stats.idle.fetch_sub(1, Ordering::Relaxed);
        // The youngest is too old: so are the others, and the sweep closes them.
        (taken.until > Instant::now()).then_some(taken.conn)
    }

    fn keep(&self, conn: Conn) {
        let now = Instant::now();
        let config = self.config();
        let until = (now + conn.idle.min(config.idle_timeout)).min(conn.opened + config.max_age);
        if until <= now {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < config.max_idle {
            idle.push_back(Idle { conn, until });
            drop(idle);
            if self.shared.stats.idle.fetch_add(1, Ordering::Relaxed) == 0 {
                self.shared.sweep_later();
            }
        }
    }

    /// Closes what has been unused for too long.
    pub(super) fn sweep(&self, now: Instant) {
        let closed: Vec<Idle> = {
            let mut idle = self.idle.lock();
            let (kept, closed) = std::mem::take(&mut *idle).into_iter().partition(|idle| idle.until > now);
            *idle = kept;
            closed.into()
        };
        self.shared.stats.idle.fetch_sub(closed.len(), Ordering::Relaxed);
    }

    async fn connect(&self) -> Result<Conn, FetchError> {
        let config = self.config();
        let connected = tokio::time::timeout(config.connect_timeout, self.handshake()).await;
        let conn = connected.map_err(|_| FetchError::ConnectTimeout(config.connect_timeout))??;
        self.shared.stats.opened.fetch_add(1, Ordering::Relaxed);
        Ok(conn)
    }

    async fn handshake(&self) -> Result<Conn, FetchError> {
        let unreachable = |error: dunlin_http::BoxError| FetchError::Connect(error);
        let tcp = self.connector.clone().call(self.uri.clone()).await.map_err(|error| unreachable(error.into()))?;
        let tcp = tcp.into_inner();
        let (max_head, idle) = (self.config().max_head, Duration::MAX);
        let conn = match &self.tls {
            None => Conn::open(tcp, max_head, idle).await,
            Some((tls, name)) => {
                let io = tls.connect(name.clone(), tcp).await.map_err(|error| unreachable(error.into()))?;
                Conn::open(io, max_head, idle).await
            }
        };
        conn.map_err(|error| unreachable(error.into()))
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Origin").field(&self.uri).finish()
    }
}

// === impl Lease ===

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut conn) = self.conn.take()
            && conn.is_ready()
        {
            conn.reused = true;
            self.origin.keep(conn);
        }
        self.origin.permits.add_permits(1);
    }
}

impl Stats {
    /// One more of `counter`.
    pub(crate) fn count(counter: &std::sync::atomic::AtomicUsize) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
