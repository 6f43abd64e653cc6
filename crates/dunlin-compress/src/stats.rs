//! [`Stats`]: the figures of a layer.

use dunlin_http::Metric;

/// The figures of a layer at one moment; see [`CompressLayer::stats`](crate::CompressLayer::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Encodings that are kept now.
    pub kept: u64,
    /// The memory that they take, in bytes, including their index and header lines.
    pub kept_bytes: u64,
    /// Encodings that were made to be kept.
    pub made: u64,
    /// Encodings that were replaced by a better one.
    pub improved: u64,
    /// Pieces of work that found all threads busy and had to wait, or found no thread and were done
    /// on the event loop in slices.
    pub overflowed: u64,
}

// === impl Stats ===

impl Stats {
    /// The figures as metrics.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { kept, kept_bytes, made, improved, overflowed } = *self;
        vec![
            Metric::gauge("dunlin_compress_kept", "Encodings that are kept.", kept as f64),
            Metric::gauge("dunlin_compress_kept_bytes", "Bytes of kept encodings.", kept_bytes as f64),
            Metric::counter("dunlin_compress_made_total", "Encodings made to be kept.", made),
            Metric::counter("dunlin_compress_improved_total", "Encodings replaced with a better one.", improved),
            Metric::counter("dunlin_compress_overflowed_total", "Encodings that waited for a worker.", overflowed),
        ]
    }
}
