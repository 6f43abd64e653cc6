//! [`AccessLog`]: the settings of access lines.

use super::Line;
use super::redact::Redact;
use crate::config::Log;

/// The settings of access lines.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog {
    /// `true` if requests get access lines.
    pub(crate) is_on: bool,
    /// The share of the successful requests that get a line.
    sample: f64,
    pub(super) redact: Redact,
}

// === impl AccessLog ===

impl AccessLog {
    pub(crate) fn new(log: &Log) -> Self {
        let is_on = log.access && log.level >= tracing::Level::INFO;
        Self { is_on, sample: log.sample, redact: Redact::new(&log.redact) }
    }

    /// Returns `true` if the line is written. `random` gives a number from 0 to 1. Errors and
    /// incomplete responses are always written.
    pub(super) fn keeps(&self, line: &Line<'_>, random: impl FnOnce() -> f64) -> bool {
        let is_error = line.status.is_none_or(|status| status.as_u16() >= 400) || line.aborted.is_some();
        is_error || self.sample >= 1.0 || random() < self.sample
    }
}
