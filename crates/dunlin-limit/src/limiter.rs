//! [`Limiter`]: the decision on a request.

use std::time::{Duration, Instant};

use dunlin_http::Counter;

use crate::table::Table;
use crate::{Quota, Stats};

/// A rate limit that threads share.
///
/// Its memory is allocated when it is made: about 17 bytes per key of the capacity. A decision
/// locks one set of keys for a short time.
#[derive(Debug)]
pub struct Limiter {
    quota: Quota,
    table: Table,
    start: Instant,
    accepted: Counter,
    refused: Counter,
}

/// The result of [`Limiter::check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// The request may pass.
    Accepted,
    /// The request exceeds the quota.
    Refused {
        /// The time after which a request of this key would pass.
        retry_after: Duration,
    },
}

// === impl Limiter ===

impl Limiter {
    /// The default number of keys. They take about 1.1 MB.
    pub const DEFAULT_CAPACITY: usize = 65_536;

    /// Makes a limiter for [`DEFAULT_CAPACITY`](Self::DEFAULT_CAPACITY) keys.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self::with_capacity(quota, Self::DEFAULT_CAPACITY)
    }

    /// Makes a limiter for at least `capacity` keys, rounded up to a power of two.
    #[must_use]
    pub fn with_capacity(quota: Quota, capacity: usize) -> Self {
        Self {
            quota,
            table: Table::new(capacity),
            start: Instant::now(),
            accepted: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// Decides on a request of `key` that arrives now.
    pub fn check(&self, key: &[u8]) -> Decision {
        self.check_at(key, Instant::now())
    }

    /// Decides on a request of `key` that arrives at `now`.
    pub fn check_at(&self, key: &[u8], now: Instant) -> Decision {
        let now = now.saturating_duration_since(self.start).as_nanos() as u64;
        let decided = self.table.update(key, |full_at| match self.quota.decide(full_at, now) {
            Ok(full_at) => (Some(full_at), Ok(())),
            Err(wait) => (None, Err(wait)),
        });
        match decided {
            Ok(()) => {
                self.accepted.increment();
                Decision::Accepted
            }
            Err(wait) => {
                self.refused.increment();
                Decision::Refused { retry_after: Duration::from_nanos(wait) }
            }
        }
    }

    /// The number of decisions so far, and the memory in use.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { accepted: self.accepted.get(), refused: self.refused.get(), bytes: self.table.bytes() as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_one_quota() {
        let limiter = Limiter::new(Quota::new(1, Duration::from_secs(3600), 100).unwrap());
        let now = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..1000).for_each(|_| {
                        let _ = limiter.check_at(b"a", now);
                    });
                });
            }
        });
        let Stats { accepted, refused, .. } = limiter.stats();
        assert_eq!((accepted, refused), (100, 3900));
        assert_eq!(limiter.check_at(b"b", now), Decision::Accepted);
    }

    #[test]
    fn a_refused_key_passes_after_the_wait() {
        let limiter = Limiter::new(Quota::new(1, Duration::from_secs(1), 1).unwrap());
        let now = Instant::now();
        assert_eq!(limiter.check_at(b"a", now), Decision::Accepted);
        let Decision::Refused { retry_after } = limiter.check_at(b"a", now) else { panic!("accepted") };
        assert_eq!(limiter.check_at(b"a", now + retry_after), Decision::Accepted);
    }
}
