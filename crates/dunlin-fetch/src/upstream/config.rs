//! [`UpstreamConfig`]: the settings of an upstream.

use std::time::Duration;

use http::{HeaderName, Uri};

use crate::Protocol;

/// The settings of an [`Upstream`](crate::Upstream).
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// The servers: http or https URLs without a path, or Unix sockets. At least one, at most 128.
    pub servers: Vec<Uri>,
    /// The choice among the servers that are up. Default: [`Balance::LeastPending`].
    pub balance: Balance,
    /// Active checks of the servers. Default: none.
    pub health: Option<HealthCheck>,
    /// The exclusion of servers whose requests fail. Default: five failures, 10 s.
    pub eject: Option<Ejection>,
    /// The time for which a request waits while no server is up. Default: 5 s.
    pub wait: Duration,
    /// The limit of requests that wait at once. Default: 1000.
    pub max_waiting: usize,
    /// The limit of requests under way to one server, of all clients. Beyond it, requests go to
    /// another server, and fail at once with [`Error::Overloaded`](crate::Error::Overloaded) if all
    /// have as many. Default: none.
    pub max_pending: Option<usize>,
    /// The time in which the share of a server that is back grows to its full one. Default: zero,
    /// which is at once.
    pub slow_start: Duration,
    /// The limit of connections in use, for each server and client. Default: 256.
    pub max_connections: usize,
    /// The version of HTTP. Default: [`Protocol::Http1`].
    pub protocol: Protocol,
}

/// The choice among the servers that are up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balance {
    /// Of two random servers, the one with fewer requests under way.
    #[default]
    LeastPending,
    /// One after the other.
    RoundRobin,
    /// Requests with the same key go to the same server, as long as it is up. If a server goes,
    /// only its own keys move. A request without a key goes by [`Balance::LeastPending`].
    Hash(HashKey),
}

/// The part of a request that decides about its server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashKey {
    /// The address of the client.
    Client,
    /// The value of a cookie.
    Cookie(String),
    /// The value of a header field.
    Header(HeaderName),
    /// The path of the request to the server, without the query.
    Path,
}

/// The exclusion of a server whose requests fail.
///
/// Failures to connect, responses that are late, and connections that end without a response count.
/// Statuses do not. The last server that is up is never ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// The number of failures in a row. After the exclusion, one more failure is enough.
    pub failures: u32,
    /// The percentage of requests that fail, of at least 20 within ten seconds.
    pub percent: u32,
    /// The time of the exclusion.
    pub duration: Duration,
}

/// Active checks of each server: a GET on a new connection.
///
/// A status below 400 is a success. Servers count as healthy before their first check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path and query.
    pub path: String,
    /// The pause between two checks.
    pub interval: Duration,
    /// The time for one check.
    pub timeout: Duration,
    /// The number of successes in a row that make a server healthy.
    pub healthy: u32,
    /// The number of failures in a row that make a server unhealthy.
    pub unhealthy: u32,
}

// === impl UpstreamConfig ===

impl UpstreamConfig {
    /// The default settings with these servers.
    #[must_use]
    pub fn new(servers: Vec<Uri>) -> Self {
        Self {
            servers,
            balance: Balance::default(),
            health: None,
            eject: Some(Ejection::default()),
            wait: Duration::from_secs(5),
            max_waiting: 1000,
            max_pending: None,
            slow_start: Duration::ZERO,
            max_connections: 256,
            protocol: Protocol::Http1,
        }
    }
}

// === impl Ejection ===

impl Default for Ejection {
    fn default() -> Self {
        Self { failures: 5, percent: 30, duration: Duration::from_secs(10) }
    }
}

// === impl HealthCheck ===

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy: 2,
            unhealthy: 3,
        }
    }
}
