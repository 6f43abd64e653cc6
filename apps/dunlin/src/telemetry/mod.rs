//! The figures about requests. Each loop counts for itself, so that no two cores write to one line
//! of memory.
//!
//! The hot path adds to counters that exist since the loop began. `/metrics` sums them up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::Mutex;

pub(crate) use dunlin_http::{Histogram, HistogramCounts as Counts};

/// All counters of the process. A route that a reload keeps goes on with its counters.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) started: Instant,
    loops: Mutex<HashMap<usize, ByLabel>>,
}

/// The counters of one event loop, by the names of their routes.
type ByLabel = HashMap<Label, Arc<RouteCounters>>;

/// The names of routes in the order of the configuration. The last one stands for requests that no
/// route answered.
#[derive(Clone, Debug)]
pub(crate) struct Labels(Arc<[Label]>);

/// The names of a route in figures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Label {
    pub(crate) path: String,
    /// The methods, which tell routes of one path apart.
    pub(crate) methods: String,
}

/// The counters of one loop: one for each route, and one for requests that none answered.
#[derive(Debug)]
pub(crate) struct LoopCounters(Box<[Arc<RouteCounters>]>);

/// The counters of one route.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct RouteCounters {
    /// Responses by class, 1xx to 5xx.
    classes: [AtomicU64; 5],
    bytes: AtomicU64,
    /// Requests that the client or a limit ended before their response was complete.
    aborted: AtomicU64,
    ttfb: Histogram,
    duration: Histogram,
}

/// The sums of one route over all loops.
#[derive(Debug, Default)]
pub(crate) struct RouteTotals {
    pub(crate) classes: [u64; 5],
    pub(crate) bytes: u64,
    pub(crate) aborted: u64,
    /// The times to the head of the response.
    pub(crate) ttfb: Counts,
    /// The times to the end of its body.
    pub(crate) duration: Counts,
}

/// The name of the requests that no route answered.
pub(crate) const UNMATCHED: &str = "(none)";

// === impl Labels ===

impl Labels {
    pub(crate) fn new(routes: impl IntoIterator<Item = Label>) -> Self {
        let unmatched = Label { path: UNMATCHED.to_owned(), methods: String::new() };
        Self(routes.into_iter().chain([unmatched]).collect())
    }
}

// === impl Telemetry ===

impl Telemetry {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), loops: Mutex::default() }
    }

    /// The counters of one loop for these routes.
    pub(crate) fn counters(&self, index: usize, labels: &Labels) -> Arc<LoopCounters> {
        let mut loops = self.loops.lock();
        let known = loops.entry(index).or_default();
        let counters = labels.0.iter().map(|label| known.entry(label.clone()).or_default().clone());
        Arc::new(LoopCounters(counters.collect()))
    }

    /// Forgets the counters of all other routes.
    pub(crate) fn keep(&self, labels: &Labels) {
        let kept: HashSet<&Label> = labels.0.iter().collect();
        self.loops.lock().values_mut().for_each(|known| known.retain(|label, _| kept.contains(label)));
    }

    /// The sums of each route.
    pub(crate) fn totals<'l>(&self, labels: &'l Labels) -> Vec<(&'l Label, RouteTotals)> {
        let loops = self.loops.lock();
        let sum = |label: &Label| {
            let mut totals = RouteTotals::default();
            loops.values().filter_map(|known| known.get(label)).for_each(|counters| totals.add(counters));
            totals
        };
        labels.0.iter().map(|label| (label, sum(label))).collect()
    }
}

// === impl LoopCounters ===

impl LoopCounters {
    /// The counters of the route `index`; the last one stands for no route.
    pub(crate) fn route(&self, index: usize) -> &RouteCounters {
        &self.0[index.min(self.0.len() - 1)]
    }
}

// === impl RouteCounters ===

impl RouteCounters {
    /// Counts a complete response: its head came after `ttfb`, its last byte after `duration`.
    pub(crate) fn answered(&self, status: StatusCode, bytes: u64, ttfb: Duration, duration: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.ttfb.record(ttfb);
        self.duration.record(duration);
    }

    /// Counts a response that was cut after `bytes`, or never begun. Its duration is not counted.
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
