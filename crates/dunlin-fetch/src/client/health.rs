//! [`Health`]: the log lines about an origin that fails and recovers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dunlin_http::Counter;
use parking_lot::Mutex;

use crate::Error;

/// The shortest time between two log lines about invalid or late responses of one origin.
const PAUSE: Duration = Duration::from_secs(10);

/// The state of an origin, by its last requests.
///
/// An outage has two log lines: one when the origin can no longer be reached, and one when it
/// responds again, with the number of requests that failed. Other failures are logged once in ten
/// seconds, with the number of those that were not.
#[derive(Debug, Default)]
pub(super) struct Health {
    is_down: AtomicBool,
    failed_since_down: Counter,
    unlogged: Mutex<Unlogged>,
}

/// The failures that were not logged.
#[derive(Debug, Default)]
struct Unlogged {
    last_logged: Option<Instant>,
    count: u64,
}

// === impl Health ===

impl Health {
    /// Notes a response of the origin.
    pub(super) fn succeeded(&self, origin: &dyn std::fmt::Display) {
        // One load per request to an origin that is up.
        if self.is_down.load(Ordering::Relaxed) && self.is_down.swap(false, Ordering::Relaxed) {
            let failed = self.failed_since_down.get();
            tracing::info!("upstream {origin}: back after {failed} failed requests");
        }
    }

    /// Notes a failed request.
    pub(super) fn failed(&self, origin: &dyn std::fmt::Display, error: &Error) {
        match error {
            Error::RequestBody(error) => tracing::debug!("upstream {origin}: cannot read the request body: {error}"),
            Error::Connect(_) | Error::ConnectTimeout(_) => {
                if self.is_down.swap(true, Ordering::Relaxed) {
                    self.failed_since_down.increment();
                } else {
                    tracing::warn!("upstream {origin}: {error}; retrying with each request");
                }
            }
            _ => {
                if let Some(unlogged) = self.unlogged.lock().log(Instant::now()) {
                    tracing::warn!(unlogged, "upstream {origin}: {error}");
                }
            }
        }
    }
}

// === impl Unlogged ===

impl Unlogged {
    /// Returns the number of failures that were not logged, or `None` if this one is not logged
    /// either.
    fn log(&mut self, now: Instant) -> Option<u64> {
        if self.last_logged.is_some_and(|last| now.duration_since(last) < PAUSE) {
            self.count += 1;
            return None;
        }
        self.last_logged = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_once_per_pause() {
        let (mut unlogged, now) = (Unlogged::default(), Instant::now());
        let at = |millis| now + Duration::from_millis(millis);
        let logged: Vec<_> = [0, 1, 9_999, 10_000, 10_001, 30_000].map(|millis| unlogged.log(at(millis))).into();
        assert_eq!(logged, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn an_outage_begins_and_ends_once() {
        let health = Health::default();
        let refused = || Error::Connect("refused".into());
        health.succeeded(&"a");
        assert!(!health.is_down.load(Ordering::Relaxed));
        (0..5).for_each(|_| health.failed(&"a", &refused()));
        assert!(health.is_down.load(Ordering::Relaxed) && health.failed_since_down.get() == 4);
        health.succeeded(&"a");
        assert!(!health.is_down.load(Ordering::Relaxed));
    }
}
