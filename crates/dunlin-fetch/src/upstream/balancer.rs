//! [`Balancer`]: an upstream with the connections of one event loop.

use std::sync::Arc;

use bytes::Bytes;
use dunlin_http::{Body, UpstreamSlot};
use http::Request;
use http::header::HOST;
use tokio::time::Instant;

use super::config::{Balance, UpstreamConfig};
use super::hash::{self, KeySource};
use super::policy::Set;
use super::state::Upstream;
use super::wait::Probe;
use crate::client::{Fate, OnInterim, Origin, Pending, Received, RequestOptions, Stats};
use crate::{Client, Error};

/// An upstream with the connections of one event loop.
#[derive(Debug)]
pub(crate) struct Balancer {
    upstream: Arc<Upstream>,
    /// The servers of the upstream, in its order.
    origins: Box<[Arc<Origin>]>,
}

/// The facts about a request that decide how it is sent.
#[derive(Clone, Copy)]
pub(crate) struct Routing<'r> {
    /// The number of the key that decides about the server.
    pub(crate) key: Option<u64>,
    /// `true` if the request gets the `Host` of its server.
    pub(crate) sets_host: bool,
    /// The place where the server is noted.
    pub(crate) slot: Option<&'r UpstreamSlot>,
}

/// The progress of a request.
struct Progress<'u> {
    upstream: &'u Upstream,
    tried: Set,
    /// `true` if it was sent again after a part of it had been sent.
    is_repeated: bool,
    /// The end of its wait.
    deadline: Option<Instant>,
    probe: Option<Probe<'u>>,
    error: Option<Error>,
}

// === impl Balancer ===

impl Balancer {
    pub(crate) fn new(client: &Client, upstream: Arc<Upstream>) -> Result<Self, Error> {
        let UpstreamConfig { max_connections, protocol, .. } = upstream.config;
        let origins =
            upstream.servers.iter().map(|server| client.origin(server.address.clone(), max_connections, protocol));
        let origins: Box<[Arc<Origin>]> = origins.collect::<Result<_, _>>()?;
        for (origin, server) in origins.iter().zip(&upstream.servers) {
            origin.observe_connects(&server.connect_times);
        }
        Ok(Self { origins, upstream })
    }

    /// The number of the key of a request, if the upstream is balanced by one.
    pub(crate) fn key(&self, source: KeySource<'_>) -> Option<u64> {
        match &self.upstream.config.balance {
            Balance::Hash(by) => hash::key(by, source),
            _ => None,
        }
    }

    /// Sends a request to one of the servers. Its target and fields are final, except for the
    /// framing of the body, and `Host`.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        options: RequestOptions,
        routing: Routing<'_>,
        on_interim: Option<&OnInterim>,
    ) -> Result<Received, Error> {
        let stats = self.origins.first().map(|origin| &origin.shared.stats);
        if let Some(stats) = stats {
            Stats::count(&stats.requests);
        }
        let sent = self.try_servers(request, options, routing, on_interim).await;
        if let (Some(stats), Err(_)) = (stats, &sent) {
            Stats::count(&stats.failures);
        }
        sent
    }

    async fn try_servers(
        &self,
        request: Request<Body>,
        options: RequestOptions,
        routing: Routing<'_>,
        on_interim: Option<&OnInterim>,
    ) -> Result<Received, Error> {
        let upstream = &*self.upstream;
        upstream.budget.deposit();
        let (mut request, repeat) = repeatable(request, options);
        let mut progress = Progress::new(upstream);
        loop {
            let index = progress.next(routing.key).await?;
            let (Some(origin), Some(server)) = (self.origins.get(index), upstream.servers.get(index)) else {
                return Err(Error::Unavailable);
            };
            if routing.sets_host {
                request.headers_mut().insert(HOST, origin.host.clone());
            }
            if let Some(slot) = routing.slot {
                slot.set(origin.name.clone());
            }
            let copied = repeat.as_ref().filter(|_| !progress.is_repeated).map(|body| copy(&request, body));
            // Another loop may have taken the last place meanwhile.
            let Some(pending) = Pending::within(&server.pending, upstream.config.max_pending) else { continue };
            server.requests.increment();
            let (pending, start) = (Some(pending), Instant::now());
            let failed = match origin.attempt(request, options, None, on_interim, pending).await {
                Ok(received) => {
                    server.head_times.record(start.elapsed());
                    upstream.succeeded(index);
                    return Ok(received);
                }
                Err(failed) => failed,
            };
            upstream.failed(index, &failed);
            request = match (failed.fate, copied) {
                (Fate::Unsent(request), _) if !matches!(failed.error, Error::Busy) => {
                    progress.tried.insert(index);
                    *request
                }
                (Fate::Unanswered, Some(copied)) if upstream.budget.withdraw() => {
                    progress.repeat(index);
                    copied
                }
                _ => return Err(failed.error),
            };
            progress.error = Some(failed.error);
            upstream.retries.increment();
        }
    }
}

/// The body of a request that may be sent again, which is idempotent and complete in memory
/// (RFC 9110 §9.2.2).
fn repeatable(request: Request<Body>, options: RequestOptions) -> (Request<Body>, Option<Bytes>) {
    if !options.retry || !request.method().is_idempotent() || options.expect_timeout.is_some() {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    match body.try_into_bytes() {
        Ok(bytes) => (Request::from_parts(parts, Body::from(bytes.clone())), Some(bytes)),
        Err(body) => (Request::from_parts(parts, body), None),
    }
}

fn copy(request: &Request<Body>, body: &Bytes) -> Request<Body> {
    let mut copy = Request::new(Body::from(body.clone()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

// === impl Progress ===

impl<'u> Progress<'u> {
    const fn new(upstream: &'u Upstream) -> Self {
        Self { upstream, tried: Set::EMPTY, is_repeated: false, deadline: None, probe: None, error: None }
    }

    /// The server to try next. Waits while none is up.
    async fn next(&mut self, key: Option<u64>) -> Result<usize, Error> {
        if self.tried.is_empty() && self.upstream.is_down() && self.probe.is_none() {
            self.wait().await?;
        }
        loop {
            if let Some(index) = self.upstream.pick(key, self.tried)? {
                return Ok(index);
            }
            self.upstream.set_down(self.error.as_ref());
            self.wait().await?;
        }
    }

    async fn wait(&mut self) -> Result<(), Error> {
        self.probe = None;
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.upstream.config.wait);
        self.probe = Box::pin(self.upstream.wait(deadline, !self.tried.is_empty())).await?;
        self.tried = Set::EMPTY;
        Ok(())
    }

    /// Notes that the request is sent again after a server gave no response: to another one, if
    /// there is one.
    fn repeat(&mut self, index: usize) {
        self.is_repeated = true;
        self.tried.insert(index);
        if self.upstream.candidates(self.tried).is_empty() {
            self.tried = Set::EMPTY;
        }
    }
}
