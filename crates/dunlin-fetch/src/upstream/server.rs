//! [`Server`]: the state of one server, which all event loops share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use dunlin_http::{Counter, Histogram};
use parking_lot::Mutex;

use super::hash;
use super::policy::Standing;
use super::rate::FailureRate;
use crate::Error;
use crate::client::{Address, Failed, Fate};

/// A server of an upstream.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: Address,
    /// The address as a text, for log lines and metrics.
    pub(super) name: String,
    pub(super) seed: u64,
    /// Requests under way, their response bodies included.
    pub(super) pending: Arc<AtomicUsize>,
    pub(super) requests: Counter,
    pub(super) failures: [Counter; FailureKind::ALL.len()],
    /// Failures since the last response.
    in_a_row: AtomicU32,
    /// The time in milliseconds until which it is ejected.
    ejected_until: AtomicU64,
    is_unhealthy: AtomicBool,
    /// The time in milliseconds at which checks last succeeded again. Zero: it was never unhealthy.
    healthy_since: AtomicU64,
    /// `true` if it is ejected because of its failure rate. A success does not end that.
    is_held: AtomicBool,
    rate: Mutex<FailureRate>,
    /// The last reason why it was out.
    reason: Mutex<Option<String>>,
    pub(super) connect_times: Arc<Histogram>,
    pub(super) head_times: Histogram,
    /// `true` after the log line about its failures, until the one about its recovery.
    is_reported: AtomicBool,
}

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// No connection.
    Connect,
    /// No connection or no response in time.
    Timeout,
    /// The connection ended without a response.
    Closed,
    /// The response is malformed.
    Invalid,
    /// All connections were in use.
    Busy,
}

// === impl FailureKind ===

impl FailureKind {
    pub(super) const ALL: [Self; 5] = [Self::Connect, Self::Timeout, Self::Closed, Self::Invalid, Self::Busy];

    /// The kind of a failure. `None` if it is the client's.
    pub(super) const fn of(failed: &Failed) -> Option<Self> {
        match (&failed.error, &failed.fate) {
            (Error::RequestBody(_), _) => None,
            (Error::Busy, _) => Some(Self::Busy),
            (Error::ConnectTimeout(_) | Error::Timeout(_), _) => Some(Self::Timeout),
            (Error::Connect(_), _) => Some(Self::Connect),
            (_, Fate::Unsent(_) | Fate::Unanswered) => Some(Self::Closed),
            (_, Fate::Sent) => Some(Self::Invalid),
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Invalid => "invalid",
            Self::Busy => "busy",
        }
    }

    /// Returns `true` if failures of this kind lead to an ejection.
    pub(super) const fn counts(self) -> bool {
        matches!(self, Self::Connect | Self::Timeout | Self::Closed)
    }
}

// === impl Server ===

impl Server {
    pub(super) fn new(address: Address) -> Self {
        let name = address.to_string();
        Self {
            seed: hash::seed(&name),
            address,
            name,
            pending: Arc::default(),
            requests: Counter::default(),
            failures: Default::default(),
            in_a_row: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            is_unhealthy: AtomicBool::new(false),
            healthy_since: AtomicU64::new(0),
            is_held: AtomicBool::new(false),
            rate: Mutex::default(),
            reason: Mutex::default(),
            connect_times: Arc::default(),
            head_times: Histogram::default(),
            is_reported: AtomicBool::new(false),
        }
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            is_unhealthy: self.is_unhealthy.load(Ordering::Relaxed),
            ejected_until: self.ejected_until.load(Ordering::Relaxed),
        }
    }

    /// Notes a failure, and returns the number of failures in a row.
    pub(super) fn count_failure(&self) -> u32 {
        self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Notes a failure at `now`. Returns `true` if too many of its requests fail.
    pub(super) fn fails_often(&self, now: u64, percent: u32) -> bool {
        self.rate.lock().note(now, self.requests.get(), percent)
    }

    /// Ejects it until this time. With `is_held`, a success does not end that.
    pub(super) fn eject_until(&self, until: u64, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
        self.ejected_until.store(until, Ordering::Relaxed);
    }

    /// The time since it came back, in milliseconds. `None` if it was never out, or is.
    pub(super) fn age(&self, now: u64) -> Option<u64> {
        let back = self.ejected_until.load(Ordering::Relaxed).max(self.healthy_since.load(Ordering::Relaxed));
        if back == 0 { None } else { now.checked_sub(back) }
    }

    pub(super) fn set_reason(&self, reason: String) {
        *self.reason.lock() = Some(reason);
    }

    pub(super) fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }

    /// Ends failures and the ejection. Returns `true` if a log line about them has to follow.
    pub(super) fn recover(&self, now: impl Fn() -> u64) -> bool {
        // A server that is up costs two loads, so that loops do not write to the same memory.
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
            if !self.is_held.load(Ordering::Relaxed) {
                self.ejected_until.fetch_min(now(), Ordering::Relaxed);
            }
        }
        let is_over = self.is_reported.load(Ordering::Relaxed) && self.standing().is_open(now());
        is_over && self.is_reported.swap(false, Ordering::Relaxed)
    }

    /// Returns `true` if a log line about its failures has to follow.
    pub(super) fn report(&self) -> bool {
        !self.is_reported.swap(true, Ordering::Relaxed)
    }

    /// Sets the state by active checks.
    pub(super) fn set_healthy(&self, is_healthy: bool, now: u64) {
        if is_healthy {
            self.healthy_since.store(now.max(1), Ordering::Relaxed);
        }
        self.is_unhealthy.store(!is_healthy, Ordering::Relaxed);
    }
}
