//! What is counted of each request, for each loop by itself so that no two cores write to one line of memory.
//!
//! The hot path adds to counters that were made when the loop began. Only who asks for `/metrics` sums them up.

mod histogram;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::Mutex;

pub(crate) use histogram::{Counts, Histogram};

/// All counters of the process.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) started: Instant,
    /// The routes' paths; the last one stands for requests that no route answered.
    routes: Vec<String>,
    loops: Mutex<Vec<Arc<LoopCounters>>>,
}

/// The counters of one loop: one for each route, and one for what none answered.
#[derive(Debug)]
pub(crate) struct LoopCounters(Box<[RouteCounters]>);

/// What is counted of one route.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct RouteCounters {
    /// Answers by class, 1xx to 5xx.
    classes: [AtomicU64; 5],
    bytes: AtomicU64,
    /// Requests that were given up, by the client or by a limit, before their answer was whole.
    aborted: AtomicU64,
    ttfb: Histogram,
    duration: Histogram,
}

/// The sum over all loops of what was counted of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteTotals {
    pub(crate) classes: [u64; 5],
    pub(crate) bytes: u64,
    pub(crate) aborted: u64,
    /// To the head of the answer.
    pub(crate) ttfb: Counts,
    /// To the end of its body.
    pub(crate) duration: Counts,
}

/// How requests that no route answered are called.
pub(crate) const UNMATCHED: &str = "(none)";

// === impl Telemetry ===

impl Telemetry {
    pub(crate) fn new(routes: impl IntoIterator<Item = String>) -> Self {
        let routes = routes.into_iter().chain([UNMATCHED.to_owned()]).collect();
        Self { started: Instant::now(), routes, loops: Mutex::default() }
    }

    /// The counters of one more loop.
    pub(crate) fn join(&self) -> Arc<LoopCounters> {
        let counters = Arc::new(LoopCounters(self.routes.iter().map(|_| RouteCounters::default()).collect()));
        self.loops.lock().push(counters.clone());
        counters
    }

    /// The sums of each route, by its path.
    pub(crate) fn totals(&self) -> Vec<(&str, RouteTotals)> {
        let loops = self.loops.lock();
        let sum = |index: usize| {
            let mut totals = RouteTotals::default();
            for counters in loops.iter() {
                totals.add(&counters.0[index]);
            }
            totals
        };
        self.routes.iter().enumerate().map(|(index, path)| (path.as_str(), sum(index))).collect()
    }
}

// === impl LoopCounters ===

impl LoopCounters {
    /// Those of the route `index`; an index past the last one stands for no route.
    pub(crate) fn route(&self, index: usize) -> &RouteCounters {
        &self.0[index.min(self.0.len() - 1)]
    }
}

// === impl RouteCounters ===

impl RouteCounters {
    /// An answer that is whole: its head came after `ttfb`, its last byte after `duration`.
    pub(crate) fn answered(&self, status: StatusCode, bytes: u64, ttfb: Duration, duration: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.ttfb.record(ttfb);
        self.duration.record(duration);
    }

    /// An answer that was cut after `bytes`, or never begun. Its duration says nothing, so it is not counted.
    pub(crate) fn aborted(&self, bytes: u64) {
        self.aborted.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

// === impl RouteTotals ===

impl RouteTotals {
    fn add(&mut self, counters: &RouteCounters) {
        for (sum, class) in self.classes.iter_mut().zip(&counters.classes) {
            *sum += class.load(Ordering::Relaxed);
        }
        self.bytes += counters.bytes.load(Ordering::Relaxed);
        self.aborted += counters.aborted.load(Ordering::Relaxed);
        self.ttfb.add(&counters.ttfb);
        self.duration.add(&counters.duration);
    }

    pub(crate) fn answers(&self) -> u64 {
        self.classes.iter().sum()
    }
}
