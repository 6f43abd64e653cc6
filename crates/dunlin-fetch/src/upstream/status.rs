//! [`ServerStatus`]: the state of a server at a moment.

use std::sync::atomic::Ordering;

use dunlin_http::HistogramCounts;

use super::server::{FailureKind, Server};
use super::state::Upstream;

/// The state of a server of an [`Upstream`] at a moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerStatus {
    /// The address, as a URL.
    pub server: String,
    /// The state.
    pub state: ServerState,
    /// The last reason why it was not up.
    pub reason: Option<String>,
    /// Requests under way, their response bodies included.
    pub pending: usize,
    /// Requests sent, each attempt counted.
    pub requests: u64,
    /// Failed requests by kind: `connect`, `timeout`, `closed`, `invalid`, `busy`.
    pub failures: Vec<(&'static str, u64)>,
    /// The times to open a connection.
    pub connect_times: HistogramCounts,
    /// The times from a request to the head of its response, the connection included.
    pub head_times: HistogramCounts,
}

/// The reason why a server gets requests, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerState {
    /// It gets requests.
    Up,
    /// No server of the upstream is up. One request at a time tries them.
    Down,
    /// Too many of its requests have failed.
    Ejected,
    /// Its health checks fail.
    Unhealthy,
}

// === impl ServerState ===

impl ServerState {
    /// The state as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Unhealthy => "unhealthy",
        }
    }
}

// === impl Upstream ===

impl Upstream {
    /// The state of each server.
    #[must_use]
    pub fn status(&self) -> Vec<ServerStatus> {
        self.servers.iter().map(|server| self.server_status(server)).collect()
    }

    fn server_status(&self, server: &Server) -> ServerStatus {
        let standing = server.standing();
        let state = match () {
            () if standing.is_unhealthy => ServerState::Unhealthy,
            () if !standing.is_open(self.now()) => ServerState::Ejected,
            () if self.is_down() => ServerState::Down,
            () => ServerState::Up,
        };
        let mut status = ServerStatus {
            server: server.name.clone(),
            state,
            reason: server.reason(),
            pending: server.pending.load(Ordering::Relaxed),
            requests: server.requests.get(),
            failures: FailureKind::ALL
                .into_iter()
                .zip(&server.failures)
                .map(|(kind, n)| (kind.as_str(), n.get()))
                .collect(),
            connect_times: HistogramCounts::default(),
            head_times: HistogramCounts::default(),
        };
        status.connect_times.add(&server.connect_times);
        status.head_times.add(&server.head_times);
        status
    }
}
