//! [`Histogram`]: durations in fixed buckets. A record is two additions, and the histogram never
//! grows.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds, in microseconds, and as the exposition writes them in seconds.
const BOUNDS: [(u64, &str); 16] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

/// Durations, counted by size, from 100 µs to 10 s.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One count per bound, and one for durations beyond all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// The counts of one or several histograms at a moment.
#[derive(Clone, Debug, Default)]
pub struct HistogramCounts {
    buckets: [u64; BOUNDS.len() + 1],
    nanos: u64,
}

// === impl Histogram ===

impl Histogram {
    /// Counts a duration.
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|(micros, _)| nanos <= *micros * 1000).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

// === impl HistogramCounts ===

impl HistogramCounts {
    /// Adds the counts of `histogram`.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        self.nanos += histogram.nanos.load(Ordering::Relaxed);
    }

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The bound below which a share of `quantile` of the durations lies. `None` if nothing was
    /// counted, or the quantile is beyond all bounds.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = (self.count() as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        BOUNDS.get(bucket).map(|(micros, _)| Duration::from_micros(*micros))
    }

    /// Writes the series of one set of labels, such as `route="/"`, in the text format of
    /// Prometheus.
    pub fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut seen = 0;
        let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (count, bound) in self.buckets.iter().zip(bounds) {
            seen += count;
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {seen}");
        }
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", self.nanos as f64 / 1e9);
        let _ = writeln!(out, "{name}_count{{{labels}}} {seen}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_cumulative_and_bounds_inclusive() {
        let histogram = Histogram::default();
        for micros in [0, 100, 101, 2_000_000, 60_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut counts = HistogramCounts::default();
        counts.add(&histogram);
        let mut out = String::new();
        counts.write(&mut out, "t_seconds", "route=\"/\"");
        for line in [
            "t_seconds_bucket{route=\"/\",le=\"0.0001\"} 2",
            "t_seconds_bucket{route=\"/\",le=\"0.00025\"} 3",
            "t_seconds_bucket{route=\"/\",le=\"2.5\"} 4",
            "t_seconds_bucket{route=\"/\",le=\"10\"} 4",
            "t_seconds_bucket{route=\"/\",le=\"+Inf\"} 5",
            "t_seconds_sum{route=\"/\"} 62.000201",
            "t_seconds_count{route=\"/\"} 5",
        ] {
            assert!(out.lines().any(|have| have == line), "{line} is not in\n{out}");
        }
        assert_eq!(counts.quantile(0.5), Some(Duration::from_micros(250)));
        assert_eq!(counts.quantile(1.0), None);
    }
}
