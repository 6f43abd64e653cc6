//! An origin: who it is, and the connections that are kept to it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dunlin_http::Body;
use http::uri::Scheme;
use http::{HeaderValue, Request, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

use super::address::Address;
use super::conn::Conn;
use super::health::Health;
use super::send::{Answer, Hear, Terms};
use super::{Shared, Stats};
use crate::{Config, FetchError};

/// How long a connection is silent before TCP asks whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// An origin and its connections.
pub(crate) struct Origin {
    /// The value of its `Host`.
    pub(crate) host: HeaderValue,
    address: Address,
    dial: Dial,
    health: Health,
    pub(crate) shared: Arc<Shared>,
    idle: Mutex<VecDeque<Idle>>,
    permits: Semaphore,
}

/// The means to open a connection.
enum Dial {
    Tcp { uri: Uri, connector: HttpConnector, tls: Option<(TlsConnector, ServerName<'static>)> },
    Unix(PathBuf),
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

// === impl Origin ===

impl Origin {
    pub(super) fn new(address: Address, shared: Arc<Shared>) -> Result<Self, FetchError> {
        let wrong = || FetchError::Uri(address.to_string());
        let dial = match &address {
            Address::Unix { socket } => Dial::Unix(socket.clone()),
            Address::Tcp { https, authority } => {
                let scheme = if *https { Scheme::HTTPS } else { Scheme::HTTP };
                let uri = Uri::builder().scheme(scheme).authority(authority.clone()).path_and_query("/").build();
                let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
                let tls = match https {
                    true => Some((shared.tls()?, ServerName::try_from(name).map_err(|_| wrong())?)),
                    false => None,
                };
                Dial::Tcp { uri: uri.map_err(|_| wrong())?, connector: connector(), tls }
            }
        };
        let permits = Semaphore::new(shared.config.max_connections.min(Semaphore::MAX_PERMITS));
        let host = HeaderValue::from_str(address.host()).map_err(|_| wrong())?;
        Ok(Self { host, address, dial, health: Health::default(), shared, idle: Mutex::default(), permits })
    }

    /// Sends a request, and keeps the log informed of the origin's state.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: Request<Body>,
        terms: Terms,
        again: Option<&(dyn Fn() -> Request<Body> + Sync)>,
        hear: Option<&Hear>,
    ) -> Result<Answer, FetchError> {
        let answer = self.exchange(request, terms, again, hear).await;
        match &answer {
            Ok(_) => self.health.answered(&self.address),
            Err(error) => {
                Stats::count(&self.shared.stats.failures);
                self.health.failed(&self.address, error);
            }
        }
        answer
    }

    fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Takes a connection: the one used last if there is one, else a new one. With `fresh`, always
    /// a new one.
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
        let conn = match &self.dial {
            Dial::Unix(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(error.into()))?;
                Conn::open(stream, self.config()).await
            }
            Dial::Tcp { uri, connector, tls } => {
                let tcp = connector.clone().call(uri.clone()).await.map_err(|error| unreachable(error.into()))?;
                let tcp = tcp.into_inner();
                match tls {
                    None => Conn::open(tcp, self.config()).await,
                    Some((tls, name)) => {
                        let io = tls.connect(name.clone(), tcp).await.map_err(|error| unreachable(error.into()))?;
                        Conn::open(io, self.config()).await
                    }
                }
            }
        };
        conn.map_err(|error| unreachable(error.into()))
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // Finds out about dead peers behind tunnels and long answers.
    connector.set_keepalive(Some(KEEP_ALIVE));
    connector
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Origin({})", self.address)
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
