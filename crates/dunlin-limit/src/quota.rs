//! [`Quota`]: a number of requests per period.

use std::time::Duration;

use crate::Error;

/// The longest period.
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

/// A number of requests per period, and the number that may come at once.
///
/// It is the Generic Cell Rate Algorithm (ITU-T I.371), a token bucket that refills evenly: 10
/// requests per second are one every 100 ms, and `burst` is the size of the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The nanoseconds of the period that one request uses.
    interval: u64,
    /// The nanoseconds that may be used in advance.
    tolerance: u64,
}

// === impl Quota ===

impl Quota {
    /// Allows `requests` per `period`, of which `burst` may come at once.
    ///
    /// # Errors
    /// Returns an error if a number or the period is zero or out of range.
    pub fn new(requests: u32, period: Duration, burst: u32) -> Result<Self, Error> {
        if requests == 0 || burst == 0 {
            return Err(Error::Zero);
        }
        if period.is_zero() || period > YEAR {
            return Err(Error::Period);
        }
        let interval = (period.as_nanos() / u128::from(requests)) as u64;
        if interval == 0 {
            return Err(Error::TooFast);
        }
        Ok(Self { interval, tolerance: interval.saturating_mul(u64::from(burst) - 1) })
    }

    /// Decides on a request at `now`. The bucket of its key is full again at `full_at`. Both are in
    /// nanoseconds.
    ///
    /// Returns the time at which the bucket is full after an accepted request.
    ///
    /// # Errors
    /// Returns the nanoseconds until the request would be accepted.
    pub(crate) fn decide(&self, full_at: u64, now: u64) -> Result<u64, u64> {
        let start = full_at.max(now);
        let ahead = start - now;
        if ahead > self.tolerance { Err(ahead - self.tolerance) } else { Ok(start.saturating_add(self.interval)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_an_even_rate() {
        let quota = Quota::new(10, Duration::from_secs(1), 3).unwrap();
        let (mut full_at, mut accepted) = (0, Vec::new());
        for ms in 0..1000 {
            if let Ok(next) = quota.decide(full_at, ms * 1_000_000) {
                full_at = next;
                accepted.push(ms);
            }
        }
        // Three at once, then one every 100 ms.
        assert_eq!(accepted, [0, 1, 2, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    }

    #[test]
    fn a_refusal_has_the_exact_wait() {
        let quota = Quota::new(1, Duration::from_secs(60), 1).unwrap();
        let full_at = quota.decide(0, 0).unwrap();
        let wait = quota.decide(full_at, 1_000).unwrap_err();
        assert_eq!(wait, 60_000_000_000 - 1_000);
        assert!(quota.decide(full_at, 1_000 + wait - 1).is_err());
        assert!(quota.decide(full_at, 1_000 + wait).is_ok());
    }

    #[test]
    fn invalid_quotas_are_errors() {
        let check = |requests, period, burst| Quota::new(requests, period, burst).unwrap_err();
        let second = Duration::from_secs(1);
        assert_eq!(check(0, second, 1), Error::Zero);
        assert_eq!(check(1, second, 0), Error::Zero);
        assert_eq!(check(1, Duration::ZERO, 1), Error::Period);
        assert_eq!(check(1, YEAR * 2, 1), Error::Period);
        assert_eq!(check(2, Duration::from_nanos(1), 1), Error::TooFast);
    }

    proptest::proptest! {
        /// Over any window, no more requests pass than the rate and the burst allow.
        #[test]
        fn never_more_than_the_quota(
            requests in 1_u32..50, burst in 1_u32..20, mut times in proptest::collection::vec(0_u64..5_000_000_000, 1..300)
        ) {
            let quota = Quota::new(requests, Duration::from_secs(1), burst).unwrap();
            times.sort_unstable();
            let (mut full_at, mut passed) = (0, Vec::new());
            for now in times {
                if let Ok(next) = quota.decide(full_at, now) {
                    full_at = next;
                    passed.push(now);
                }
            }
            for (index, first) in passed.iter().enumerate() {
                for (count, last) in passed[index..].iter().enumerate() {
                    let allowed = u64::from(burst) + (last - first) / quota.interval;
                    proptest::prop_assert!(count as u64 <= allowed);
                }
            }
        }
    }
}
