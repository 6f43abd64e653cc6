//! [`Outcome`]: the end of a reload, for operators.

use std::time::{SystemTime, UNIX_EPOCH};

use dunlin_http::{Clock, Metric};
use serde_json::{Value, json};

/// The end of one reload.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) at: SystemTime,
    /// The reason why everything stayed as it was, on one line or several.
    pub(crate) error: Option<String>,
    /// The changes that need a restart.
    pub(crate) warnings: Vec<String>,
}

/// The reloads of this process.
#[derive(Clone, Debug)]
pub(crate) struct Outcomes {
    succeeded: u64,
    failed: u64,
    last: Option<Outcome>,
    /// The time since when the configuration is in use.
    taken: SystemTime,
}

// === impl Outcome ===

impl Outcome {
    /// The outcome as JSON, for `dunlin reload` and the status page.
    pub(crate) fn document(&self) -> Value {
        json!({
            "time": seconds(self.at),
            "result": if self.error.is_none() { "success" } else { "failure" },
            "error": self.error,
            "warnings": self.warnings,
        })
    }
}

// === impl Outcomes ===

impl Outcomes {
    pub(super) fn add(&mut self, outcome: Outcome) {
        match &outcome.error {
            None => {
                self.succeeded += 1;
                self.taken = outcome.at;
            }
            Some(_) => self.failed += 1,
        }
        self.last = Some(outcome);
    }

    pub(crate) fn document(&self) -> Value {
        json!({
            "succeeded": self.succeeded,
            "failed": self.failed,
            "taken": seconds(self.taken),
            "last": self.last.as_ref().map(Outcome::document),
        })
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let help = "Reloads of the configuration, by their result.";
        let reloads = |result, count| Metric::counter("dunlin_reloads_total", help, count).label("result", result);
        let help = "The time since when the configuration is in use, in seconds since 1970.";
        vec![
            reloads("success", self.succeeded),
            reloads("failure", self.failed),
            Metric::gauge("dunlin_config_taken_seconds", help, seconds(self.taken)),
        ]
    }
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { succeeded: 0, failed: 0, last: None, taken: Clock::system().now() }
    }
}

fn seconds(time: SystemTime) -> f64 {
    (time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64) / 1000.0
}
