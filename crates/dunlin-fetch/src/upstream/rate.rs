//! [`FailureRate`]: the share of a server's requests that fail.

/// The time in milliseconds for which failures are counted together.
const WINDOW: u64 = 10_000;
/// The number of requests from which a share says something.
const LEAST: u64 = 20;

/// The share of a server's requests that fail, since the first failure of the last ten seconds.
///
/// Only failures are noted, so that a server without any costs nothing.
#[derive(Debug, Default)]
pub(super) struct FailureRate {
    /// The time in milliseconds of the first failure.
    start: u64,
    /// The requests before it.
    before: u64,
    failures: u64,
}

// === impl FailureRate ===

impl FailureRate {
    /// Notes a failure at `now`, in milliseconds, after `requests` in all. Returns `true`, and
    /// starts again, if at least `percent` of at least 20 requests have failed.
    pub(super) fn note(&mut self, now: u64, requests: u64, percent: u32) -> bool {
        if self.failures == 0 || now.saturating_sub(self.start) >= WINDOW {
            *self = Self { start: now, before: requests.saturating_sub(1), failures: 0 };
        }
        self.failures += 1;
        let sent = requests.saturating_sub(self.before);
        let fails = sent >= LEAST && self.failures * 100 >= sent * u64::from(percent);
        if fails {
            *self = Self::default();
        }
        fails
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of the request that reached 30 %, if every `every`th one fails, in steps of
    /// `step` milliseconds.
    fn reached(every: u64, step: u64) -> Option<u64> {
        let mut rate = FailureRate::default();
        (1..1000).filter(|number| number % every == 0).find(|number| rate.note(number * step, *number, 30))
    }

    #[test]
    fn a_share_of_enough_requests_counts() {
        assert_eq!(reached(2, 1), Some(22));
        assert_eq!(reached(3, 1), Some(24));
        assert_eq!(reached(4, 1), None);
        assert_eq!(reached(2, 1000), None, "there are too few requests within ten seconds");
    }
}
