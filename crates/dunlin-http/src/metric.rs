//! [`Metric`]: a figure with its description.

use std::borrow::Cow;

/// One figure of a `Stats`, with its name and its description for a page of metrics.
///
/// The names follow the conventions of Prometheus: a counter's name ends in `_total`, and a unit is
/// part of the name. Metrics of one name have the same help and kind, and different labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The name, for example `dunlin_cache_hits_total`.
    pub name: &'static str,
    /// One sentence for operators.
    pub help: &'static str,
    /// The kind.
    pub kind: MetricKind,
    /// The names and values of the labels.
    pub labels: Vec<(&'static str, Cow<'static, str>)>,
    /// The current value.
    pub value: f64,
}

/// A kind of [`Metric`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// A sum that only increases.
    Counter,
    /// A value that increases and decreases.
    Gauge,
}

// === impl Metric ===

impl Metric {
    /// Makes a counter without labels.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: MetricKind::Counter, labels: Vec::new(), value: value as f64 }
    }

    /// Makes a gauge without labels.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: MetricKind::Gauge, labels: Vec::new(), value }
    }

    /// The same figure with one more label.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.labels.push((name, value.into()));
        self
    }
}

// === impl MetricKind ===

impl MetricKind {
    /// The name in the text format of Prometheus.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}
