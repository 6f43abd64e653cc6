//! [`Origin`]: an origin and its pool of connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dunlin_http::Histogram;
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::address::Address;
use super::connection::Connection;
use super::connector::Connector;
use super::health::Health;
use super::http2::Http2Pool;
use super::shared::Shared;
use super::stats::Stats;
use crate::{Config, Error, Protocol};

/// An origin and its connections.
pub(crate) struct Origin {
    /// The value of its `Host` field.
    pub(crate) host: HeaderValue,
    /// Its URL, for logs.
    pub(crate) name: Arc<str>,
    pub(crate) shared: Arc<Shared>,
    pub(super) address: Address,
    pub(super) health: Health,
    /// The connections of HTTP/2. `None` if the origin gets HTTP/1.1 alone.
    pub(super) http2: Option<Arc<Http2Pool>>,
    connector: Connector,
    idle: Mutex<VecDeque<Idle>>,
    permits: Semaphore,
    /// The limit of connections in use.
    max_connections: usize,
}

/// An idle connection.
struct Idle {
    connection: Connection,
    until: Instant,
}

/// A connection that is taken from the pool for one request. On drop, it goes back if it can be
/// used again.
pub(crate) struct Lease {
    pub(crate) connection: Option<Connection>,
    origin: Arc<Origin>,
}

// === impl Origin ===

impl Origin {
    pub(super) fn new(
        address: Address,
        max_connections: usize,
        protocol: Protocol,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let connector = Connector::new(&address, Protocol::Http1, &shared)?;
        let max_connections = max_connections.min(Semaphore::MAX_PERMITS);
        let http2 = match protocol {
            Protocol::Http1 => None,
            // Without TLS, nothing is negotiated.
            Protocol::Auto if !address.is_https() => None,
            Protocol::Http2 | Protocol::Auto => {
                let http1 = Arc::new(Self::new(address.clone(), max_connections, Protocol::Http1, shared.clone())?);
                let connector = Connector::new(&address, protocol, &shared)?;
                Some(Http2Pool::new(connector, http1, max_connections, shared.clone()))
            }
        };
        let permits = Semaphore::new(max_connections);
        let host = HeaderValue::from_str(address.host()).map_err(|_| Error::Uri(address.to_string()))?;
        let (health, idle) = (Health::default(), Mutex::default());
        let name = address.to_string().into();
        Ok(Self { host, name, shared, address, health, http2, connector, idle, permits, max_connections })
    }

    fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Takes the connection that was used last, or opens a new one. With `fresh`, it always opens a
    /// new one.
    pub(super) async fn lease(self: &Arc<Self>, fresh: bool) -> Result<Lease, Error> {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            // Boxed, as below: a rare case should not make the future of each request larger.
            Err(_) => Box::pin(self.wait()).await?,
        };
        permit.forget();
        let mut lease = Lease { connection: None, origin: self.clone() };
        lease.connection = if fresh { None } else { self.take_idle() };
        if lease.connection.is_none() {
            lease.connection = Some(Box::pin(self.connector.connect_http1(self.config())).await?);
            Stats::count(&self.shared.stats.opened);
        }
        Ok(lease)
    }

    /// Records the times to connect from now on.
    pub(crate) fn observe_connects(&self, times: &Arc<Histogram>) {
        self.connector.observe(times);
        if let Some(http2) = &self.http2 {
            http2.observe_connects(times);
        }
    }

    async fn wait(&self) -> Result<SemaphorePermit<'_>, Error> {
        match tokio::time::timeout(self.config().acquire_timeout, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::Busy),
        }
    }

    /// Returns `true` if it has no connection, idle or in use.
    pub(super) fn is_unused(&self) -> bool {
        self.idle.lock().is_empty()
            && self.permits.available_permits() >= self.max_connections
            && self.http2.as_ref().is_none_or(|http2| http2.is_unused())
    }

    fn take_idle(&self) -> Option<Connection> {
        let taken = self.idle.lock().pop_back()?;
        self.shared.stats.idle.fetch_sub(1, Ordering::Relaxed);
        // If the youngest is too old, so are the others. The sweep closes them.
        (taken.until > Instant::now()).then_some(taken.connection)
    }

    /// Keeps an idle connection for the next request.
    pub(super) fn keep(&self, connection: Connection) {
        let now = Instant::now();
        let config = self.config();
        let until = (now + connection.idle_timeout.min(config.idle_timeout)).min(connection.opened + config.max_age);
        if until <= now {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < config.max_idle {
            idle.push_back(Idle { connection, until });
            drop(idle);
            if self.shared.stats.idle.fetch_add(1, Ordering::SeqCst) == 0 {
                self.shared.start_sweeping();
            }
        }
    }

    /// Closes what has been idle for too long.
    pub(super) fn sweep(&self, now: Instant) {
        if let Some(http2) = &self.http2 {
            http2.http1.sweep(now);
        }
        let closed: Vec<Idle> = {
            let mut idle = self.idle.lock();
            let (kept, closed) = std::mem::take(&mut *idle).into_iter().partition(|idle| idle.until > now);
            *idle = kept;
            closed.into()
        };
        self.shared.stats.idle.fetch_sub(closed.len(), Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Origin({})", self.address)
    }
}

// === impl Lease ===

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.is_ready()
        {
            connection.reused = true;
            self.origin.keep(connection);
        }
        self.origin.permits.add_permits(1);
    }
}
