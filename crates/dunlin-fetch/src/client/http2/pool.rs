//! [`Http2Pool`]: the HTTP/2 connections of an origin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dunlin_http::Histogram;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::connection::{Http2Connection, Slot};
use crate::client::connector::{Connected, Connector};
use crate::client::origin::Origin;
use crate::client::shared::Shared;
use crate::client::stats::Stats;
use crate::{Config, Error};

/// The HTTP/2 connections of an origin.
///
/// A request takes a stream of the first connection that has room. Only one connection is opened
/// at a time; requests that need it wait for it, or fail with it.
pub(in crate::client) struct Http2Pool {
    shared: Arc<Shared>,
    connector: Connector,
    /// The same origin over HTTP/1.1: for an origin that did not choose HTTP/2, and for protocols
    /// that only HTTP/1.1 can change to.
    pub(in crate::client) http1: Arc<Origin>,
    connections: Mutex<Vec<Arc<Http2Connection>>>,
    opening: tokio::sync::Mutex<()>,
    failure: Mutex<Option<Failure>>,
    /// The number of failed attempts to open a connection.
    failures: AtomicU64,
    /// The time until which the origin is taken to prefer HTTP/1.1.
    http1_until: Mutex<Option<Instant>>,
    /// The limit of requests under way.
    permits: Arc<Semaphore>,
}

/// The last failed attempt to open a connection.
struct Failure {
    text: String,
    is_timeout: bool,
}

// === impl Http2Pool ===

impl Http2Pool {
    pub(in crate::client) fn new(
        connector: Connector,
        http1: Arc<Origin>,
        max_requests: usize,
        shared: Arc<Shared>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            connector,
            http1,
            connections: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            failure: Mutex::default(),
            failures: AtomicU64::new(0),
            http1_until: Mutex::default(),
            permits: Arc::new(Semaphore::new(max_requests)),
        })
    }

    fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Takes a stream. `None` if the origin has chosen HTTP/1.1.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Option<Slot>, Error> {
        if self.prefers_http1() {
            return Ok(None);
        }
        let acquired = tokio::time::timeout(self.config().acquire_timeout, self.permits.clone().acquire_owned());
        let Ok(Ok(mut permit)) = acquired.await else { return Err(Error::Busy) };
        let seen = self.failures.load(Ordering::Acquire);
        match self.stream(permit) {
            Ok(slot) => return Ok(Some(slot)),
            Err(unused) => permit = unused,
        }
        let connect_timeout = self.config().connect_timeout;
        let opening = tokio::time::timeout(connect_timeout, self.opening.lock());
        let _opening = opening.await.map_err(|_| Error::ConnectTimeout(connect_timeout))?;
        // Another request may have opened one meanwhile, or failed to.
        match self.stream(permit) {
            Ok(slot) => return Ok(Some(slot)),
            Err(unused) => permit = unused,
        }
        if self.prefers_http1() {
            return Ok(None);
        }
        if self.failures.load(Ordering::Acquire) != seen
            && let Some(failure) = &*self.failure.lock()
        {
            return Err(failure.error(self.config()));
        }
        self.open(permit).await
    }

    async fn open(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Result<Option<Slot>, Error> {
        let connected = self.connector.connect(self.config()).await;
        if connected.is_ok() {
            Stats::count(&self.shared.stats.opened);
        }
        match connected {
            Ok(Connected::Http2(opened)) => {
                let (pool, idle_timeout) = (Arc::downgrade(self), self.config().idle_timeout);
                let connection = Http2Connection::start(opened, idle_timeout, move |connection| {
                    pool.upgrade().is_none_or(|pool| pool.retire(connection))
                });
                let mut connections = self.connections.lock();
                connections.push(connection.clone());
                Ok(Some(connection.add(permit, false)))
            }
            Ok(Connected::Http1(connection)) => {
                *self.http1_until.lock() = Some(Instant::now() + self.config().max_age);
                self.http1.keep(connection);
                Ok(None)
            }
            Err(error) => {
                let is_timeout = matches!(error, Error::ConnectTimeout(_));
                *self.failure.lock() = Some(Failure { text: error.to_string(), is_timeout });
                self.failures.fetch_add(1, Ordering::AcqRel);
                Err(error)
            }
        }
    }

    /// A stream of a connection that has room, or the unused permit.
    fn stream(&self, permit: OwnedSemaphorePermit) -> Result<Slot, OwnedSemaphorePermit> {
        let mut connections = self.connections.lock();
        connections.retain(|connection| !connection.is_retired());
        match connections.iter().find(|connection| connection.has_room(self.config().max_age)) {
            Some(connection) => Ok(connection.add(permit, true)),
            None => Err(permit),
        }
    }

    /// Removes a connection that is not used. Returns `false` if it got a stream meanwhile.
    fn retire(&self, connection: &Arc<Http2Connection>) -> bool {
        let mut connections = self.connections.lock();
        if !connection.is_unused(self.config().idle_timeout) {
            return false;
        }
        connection.retire();
        connections.retain(|other| !Arc::ptr_eq(other, connection));
        true
    }

    /// Records the times to connect from now on.
    pub(in crate::client) fn observe_connects(&self, times: &Arc<Histogram>) {
        self.connector.observe(times);
        self.http1.observe_connects(times);
    }

    fn prefers_http1(&self) -> bool {
        self.http1_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Returns `true` if it has no connection.
    pub(in crate::client) fn is_unused(&self) -> bool {
        self.connections.lock().is_empty() && self.http1.is_unused()
    }
}

// === impl Failure ===

impl Failure {
    fn error(&self, config: &Config) -> Error {
        match self.is_timeout {
            true => Error::ConnectTimeout(config.connect_timeout),
            false => Error::Connect(self.text.clone().into()),
        }
    }
}
