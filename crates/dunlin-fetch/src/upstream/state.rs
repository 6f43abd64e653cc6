//! [`Upstream`]: the state that all event loops share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dunlin_http::Counter;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::budget::Budget;
use super::config::{Balance, Ejection, UpstreamConfig};
use super::hash;
use super::policy::{self, Rule, Set};
use super::server::{FailureKind, Server};
use crate::Error;
use crate::client::{Address, Failed, without_secrets};

/// A service with several servers. Requests are balanced among those that are up.
///
/// One upstream is for all event loops of a process: its counts of requests under way and its
/// ejections are shared. Connections belong to the [`Client`](crate::Client) of each loop. A
/// [`Proxy`](crate::Proxy) sends its requests to an upstream by
/// [`Proxy::with_upstream`](crate::Proxy::with_upstream).
///
/// A request is tried on another server if nothing of it was sent. It is also sent again, once, if
/// its connection ended without a response, its method is idempotent, and its body is complete in
/// memory; such repeats are at most a fifth of the requests. A response that is late is not tried
/// elsewhere.
///
/// While no server is up, requests wait, within [`UpstreamConfig::wait`] and
/// [`UpstreamConfig::max_waiting`]. One of them at a time tries the servers for all.
pub struct Upstream {
    pub(super) name: String,
    pub(super) config: UpstreamConfig,
    pub(super) servers: Box<[Server]>,
    pub(super) budget: Budget,
    /// Requests that were tried again.
    pub(super) retries: Counter,
    /// Requests that found every server with `max_pending` requests.
    pub(super) overloaded: Counter,
    /// Requests that got no server in time.
    pub(super) unavailable: Counter,
    /// The places of requests that wait.
    pub(super) places: Semaphore,
    /// Wakes the requests that wait.
    pub(super) back: Notify,
    /// `true` while no server is up.
    pub(super) is_down: AtomicBool,
    /// `true` while a request tries the servers for those that wait.
    pub(super) is_probing: AtomicBool,
    /// The number of requests that had their turn.
    turn: AtomicUsize,
    /// Locked to eject a server, so that two loops do not eject the last two at once.
    ejecting: Mutex<()>,
    epoch: Instant,
}

// === impl Upstream ===

impl Upstream {
    /// Makes an upstream. `name` is for log lines and metrics.
    ///
    /// # Errors
    /// [`Error::Uri`] for a server that is no http or https URL, and [`Error::Servers`] for none, for
    /// too many, for one with a path, and for the same one twice.
    pub fn new(name: impl Into<String>, config: UpstreamConfig) -> Result<Arc<Self>, Error> {
        let servers = servers(&config)?;
        Ok(Arc::new(Self {
            name: name.into(),
            servers,
            budget: Budget::new(),
            retries: Counter::default(),
            overloaded: Counter::default(),
            unavailable: Counter::default(),
            places: Semaphore::new(config.max_waiting.min(Semaphore::MAX_PERMITS)),
            back: Notify::new(),
            is_down: AtomicBool::new(false),
            is_probing: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            ejecting: Mutex::new(()),
            epoch: Instant::now(),
            config,
        }))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The time in milliseconds since the upstream was made.
    pub(super) fn now(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    /// The servers that a request may try, besides those that it has tried.
    pub(super) fn candidates(&self, tried: Set) -> Set {
        policy::candidates(self.servers.iter().map(Server::standing), tried, self.now())
    }

    /// Chooses the next server for a request. `None` if none is up.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if all that are up have `max_pending` requests.
    pub(super) fn pick(&self, key: Option<u64>, tried: Set) -> Result<Option<usize>, Error> {
        let rule = match (&self.config.balance, key) {
            (Balance::RoundRobin, _) => Rule::RoundRobin(self.turn.fetch_add(1, Ordering::Relaxed)),
            (Balance::Hash(_), Some(key)) => Rule::Hash(key),
            _ => Rule::LeastPending(fastrand::u64(..)),
        };
        let server = |index: usize| self.servers.get(index);
        let pending = |index| server(index).map_or(0, |server| server.pending.load(Ordering::Relaxed));
        let weight = |key, index| server(index).map_or(0, |server| hash::weight(key, server.seed));
        let mut candidates = self.candidates(tried);
        if let Some(max) = self.config.max_pending
            && !candidates.is_empty()
        {
            candidates = policy::with_room(candidates, max, pending);
            if candidates.is_empty() {
                self.overloaded.increment();
                return Err(Error::Overloaded);
            }
        }
        if !self.config.slow_start.is_zero() {
            let (duration, now) = (self.config.slow_start.as_millis() as u64, self.now());
            let age = |index| server(index).and_then(|server| server.age(now));
            candidates = policy::slow_start(candidates, duration, age, |below| fastrand::u64(..below.max(1)));
        }
        Ok(policy::choose(candidates, rule, pending, weight))
    }

    /// Notes a response of a server.
    pub(super) fn succeeded(&self, index: usize) {
        let Some(server) = self.servers.get(index) else { return };
        if server.recover(|| self.now()) {
            tracing::info!("upstream {}: {} is back", self.name, server.name);
        }
        self.set_up();
    }

    /// Notes a failed request to a server, and ejects the server if it fails too often.
    pub(super) fn failed(&self, index: usize, failed: &Failed) {
        let (Some(server), Some(kind)) = (self.servers.get(index), FailureKind::of(failed)) else { return };
        if let Some(counter) = server.failures.get(kind as usize) {
            counter.increment();
        }
        let in_a_row = if kind.counts() { server.count_failure() } else { return };
        let limits = self.config.eject.unwrap_or_default();
        let fails_often = server.fails_often(self.now(), limits.percent);
        if in_a_row < limits.failures && !fails_often {
            return;
        }
        server.set_reason(failed.error.to_string());
        let ejected = self.config.eject.filter(|ejection| self.eject(index, *ejection, fails_often));
        // The log line about an upstream without a server says the same.
        if self.is_down.load(Ordering::Relaxed) || !server.report() {
            return;
        }
        let (upstream, server, error) = (&self.name, &server.name, &failed.error);
        let cause = match in_a_row < limits.failures {
            true => format!("{} % of its requests fail", limits.percent),
            false => format!("{in_a_row} failures in a row"),
        };
        match ejected {
            Some(Ejection { duration, .. }) => {
                tracing::warn!("upstream {upstream}: {server}: {error}; ejected for {duration:?}: {cause}");
            }
            None => tracing::warn!(
                "upstream {upstream}: {server}: {error}; {cause}, and still in use: it is not to be ejected"
            ),
        }
    }

    /// Ejects a server, unless it is the last one.
    fn eject(&self, index: usize, ejection: Ejection, is_held: bool) -> bool {
        let _lock = self.ejecting.lock();
        let now = self.now();
        let ejects = policy::may_eject(self.servers.iter().map(Server::standing), index, now);
        if let Some(server) = self.servers.get(index).filter(|_| ejects) {
            server.eject_until(now.saturating_add(ejection.duration.as_millis() as u64), is_held);
        }
        ejects
    }
}

/// The servers of a configuration.
fn servers(config: &UpstreamConfig) -> Result<Box<[Server]>, Error> {
    let count = config.servers.len();
    if count == 0 || count > Set::MAX {
        return Err(Error::Servers(format!("an upstream needs from 1 to {} servers; this one has {count}", Set::MAX)));
    }
    let mut servers: Vec<Server> = Vec::with_capacity(count);
    for uri in &config.servers {
        let (address, path) = Address::of(uri)?;
        let wrong = |what: &str| Err(Error::Servers(format!("{}: {what}", without_secrets(uri))));
        if !matches!(path.as_str(), "" | "/") || uri.query().is_some() {
            return wrong("a server of an upstream has no path and no query; the path is the route's");
        }
        if servers.iter().any(|server| server.address == address) {
            return wrong("this server is there twice");
        }
        servers.push(Server::new(address));
    }
    Ok(servers.into())
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).field("servers", &self.servers).finish_non_exhaustive()
    }
}
