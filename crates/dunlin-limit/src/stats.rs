//! [`Stats`]: the counters of a limiter.

use dunlin_http::Metric;

/// The decisions of a [`Limiter`](crate::Limiter) so far, and its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that passed.
    pub accepted: u64,
    /// Requests over the quota.
    pub refused: u64,
    /// Bytes of the table of keys.
    pub bytes: u64,
}

// === impl Stats ===

impl Stats {
    /// The figures as metrics.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { accepted, refused, bytes } = *self;
        vec![
            Metric::counter("dunlin_rate_limit_accepted_total", "Requests within their rate limit.", accepted),
            Metric::counter("dunlin_rate_limit_refused_total", "Requests over their rate limit.", refused),
            Metric::gauge("dunlin_rate_limit_bytes", "Memory of the tables of keys.", bytes as f64),
        ]
    }
}
