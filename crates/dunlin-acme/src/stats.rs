//! [`Stats`] of the orders, and [`Status`] of each name.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use dunlin_http::Metric;

use crate::failure::Reason;

/// The state of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The name.
    pub name: String,
    /// The distinguished name of the issuer; `None` without a certificate.
    pub issuer: Option<String>,
    /// The end of the certificate; `None` without one.
    pub not_after: Option<SystemTime>,
    /// The time of the next order; `None` if it is due now.
    pub next_order: Option<SystemTime>,
    /// The last failure since the last certificate.
    pub error: Option<String>,
}

/// The orders so far, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Orders that brought a certificate.
    pub issued: u64,
    /// Orders that the authority refused.
    pub refused: u64,
    /// Orders for which the authority could not be reached, or not in time.
    pub unreachable: u64,
    /// Certificates that could not be used.
    pub unusable: u64,
    /// Orders that failed because of the storage.
    pub storage: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    issued: AtomicU64,
    failed: [AtomicU64; 4],
}

// === impl Stats ===

impl Stats {
    /// The figures as metrics.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { issued, refused, unreachable, unusable, storage } = *self;
        let results = [
            ("issued", issued),
            (Reason::Refused.as_str(), refused),
            (Reason::Unreachable.as_str(), unreachable),
            (Reason::Unusable.as_str(), unusable),
            (Reason::Storage.as_str(), storage),
        ];
        let metric = |(result, count): (&'static str, u64)| {
            Metric::counter("dunlin_acme_orders_total", "Orders of certificates, by result.", count)
                .label("result", result)
        };
        results.map(metric).into()
    }
}

// === impl Counters ===

impl Counters {
    pub(crate) fn issued(&self) {
        self.issued.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, reason: Reason) {
        self.failed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Stats {
        let failed = |reason: Reason| self.failed[reason as usize].load(Ordering::Relaxed);
        Stats {
            issued: self.issued.load(Ordering::Relaxed),
            refused: failed(Reason::Refused),
            unreachable: failed(Reason::Unreachable),
            unusable: failed(Reason::Unusable),
            storage: failed(Reason::Storage),
        }
    }
}
