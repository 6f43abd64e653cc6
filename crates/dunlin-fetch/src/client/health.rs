//! [`Health`]: a log line when an origin goes, and one when it is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dunlin_http::Counter;
use parking_lot::Mutex;

use crate::FetchError;

/// The shortest time between two lines about broken or late answers of one origin.
const PAUSE: Duration = Duration::from_secs(10);

/// The state of an origin as the last requests found it.
///
/// While it cannot be reached, one line is logged when that begins and one when it ends, with the
/// number of requests that failed between. Other failures are logged once in ten seconds, with
/// the number of those that were not.
#[derive(Debug, Default)]
pub(crate) struct Health {
    is_down: AtomicBool,
    since_down: Counter,
    unlogged: Mutex<Unlogged>,
}

#[derive(Debug, Default)]
struct Unlogged {
    last: Option<Instant>,
    count: u64,
}

// === impl Health ===

impl Health {
    /// The origin has answered.
    pub(crate) fn answered(&self, origin: &dyn std::fmt::Display) {
        // One load for each request of an origin that is well.
        if self.is_down.load(Ordering::Relaxed) && self.is_down.swap(false, Ordering::Relaxed) {
            let failed = self.since_down.get();
            tracing::info!("upstream {origin}: back after {failed} failed requests");
        }
    }

    /// A request has failed.
    pub(crate) fn failed(&self, origin: &dyn std::fmt::Display, error: &FetchError) {
        match error {
            FetchError::RequestBody(error) => tracing::debug!("the body of a request failed: {error}"),
            FetchError::Connect(_) | FetchError::ConnectTimeout(_) => {
                if self.is_down.swap(true, Ordering::Relaxed) {
                    self.since_down.increment();
                } else {
                    tracing::warn!("upstream {origin}: {error}; retrying with each request");
                }
            }
            _ => {
                if let Some(more) = self.unlogged.lock().log(Instant::now()) {
                    tracing::warn!(more, "upstream {origin}: {error}");
                }
            }
        }
    }
}

// === impl Unlogged ===

impl Unlogged {
    /// Returns the number of failures that were not logged if this one is.
    fn log(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            self.count += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_now_and_then() {
        let (mut unlogged, now) = (Unlogged::default(), Instant::now());
        let at = |millis| now + Duration::from_millis(millis);
        let logged: Vec<_> = [0, 1, 9_999, 10_000, 10_001, 30_000].map(|millis| unlogged.log(at(millis))).into();
        assert_eq!(logged, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn an_origin_goes_once_and_comes_back_once() {
        let health = Health::default();
        let refused = || FetchError::Connect("refused".into());
        health.answered(&"a");
        assert!(!health.is_down.load(Ordering::Relaxed));
        (0..5).for_each(|_| health.failed(&"a", &refused()));
        assert!(health.is_down.load(Ordering::Relaxed) && health.since_down.get() == 4);
        health.answered(&"a");
        assert!(!health.is_down.load(Ordering::Relaxed));
    }
}
