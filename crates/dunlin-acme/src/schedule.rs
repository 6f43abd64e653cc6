//! The times of renewals and of further attempts. All functions are pure.

use std::time::{Duration, SystemTime};

/// The time for which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

/// A window in which the authority wants a certificate to be renewed (RFC 9773 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
}

/// The first wait and the factor for each further one, if the authority refused. Let's Encrypt
/// allows five failures an hour for each name; these waits make four.
const REFUSED: (Duration, u32) = (Duration::from_secs(60), 5);

/// The same for attempts that cost the authority nothing, because it was not reached.
const CHEAP: (Duration, u32) = (Duration::from_secs(10), 2);

const LONGEST_REFUSED: Duration = Duration::from_secs(6 * 3600);
const LONGEST_CHEAP: Duration = Duration::from_secs(10 * 60);

/// The limit of a wait that the authority asks for.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

/// The time from which a certificate is renewed: early in the last third of its life, but not
/// before half of the time since it was `obtained` has passed. `spread`, from 0 to 1, keeps
/// certificates from being renewed all at once.
pub(crate) fn renewal(validity: Validity, obtained: SystemTime, spread: f64) -> SystemTime {
    let life = validity.not_after.duration_since(validity.not_before).unwrap_or_default();
    let third = life / 3;
    let last_third = validity.not_after.checked_sub(third).unwrap_or(validity.not_before);
    let by_age = last_third + third.mul_f64(spread.clamp(0.0, 1.0) / 10.0);
    // A certificate that comes late in its life must not cause one order after the other.
    let left = validity.not_after.duration_since(obtained).unwrap_or_default();
    by_age.max(obtained + left / 2)
}

/// The time within a window. The same certificate always has the same one.
pub(crate) fn within(window: Window, spread: f64) -> SystemTime {
    let length = window.end.duration_since(window.start).unwrap_or_default();
    window.start + length.mul_f64(spread.clamp(0.0, 1.0))
}

/// The wait after the `count`th failure in sequence. `jitter` is from 0 to 1. `asked` is the wait
/// that the authority asks for (`Retry-After`).
pub(crate) fn wait(count: u32, is_cheap: bool, asked: Option<Duration>, jitter: f64) -> Duration {
    let ((first, factor), longest) = match is_cheap {
        true => (CHEAP, LONGEST_CHEAP),
        false => (REFUSED, LONGEST_REFUSED),
    };
    let factor = factor.saturating_pow(count.saturating_sub(1).min(16));
    let wait = first.saturating_mul(factor).min(longest);
    let wait = wait + wait.mul_f64(jitter.clamp(0.0, 1.0) / 4.0);
    wait.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn renewal_is_early_in_the_last_third() {
        #[track_caller]
        fn check((from, to): (u64, u64), obtained: u64, spread: f64, expect: u64) {
            let validity = Validity { not_before: at(from), not_after: at(to) };
            assert_eq!(renewal(validity, at(obtained), spread), at(expect));
        }
        check((0, 90 * DAY), 0, 0.0, 60 * DAY);
        check((0, 90 * DAY), 0, 1.0, 63 * DAY);
        // An hour before is usual.
        check((0, 90 * DAY), 3600, 0.0, 60 * DAY);
        check((0, 6 * DAY), 3600, 0.0, 4 * DAY);
        // A certificate that was in its last third when it came.
        check((0, 90 * DAY), 80 * DAY, 0.0, 85 * DAY);
        // One that had expired when it came, and one without a life.
        check((0, 90 * DAY), 100 * DAY, 0.0, 100 * DAY);
        check((DAY, DAY), 0, 0.5, DAY);
        check((2 * DAY, DAY), 0, 0.5, DAY);
    }

    #[test]
    fn the_time_is_within_the_window() {
        let window = Window { start: at(100), end: at(200) };
        assert_eq!((within(window, 0.0), within(window, 0.5), within(window, 1.0)), (at(100), at(150), at(200)));
        assert_eq!(within(Window { start: at(200), end: at(100) }, 0.5), at(200));
    }

    #[test]
    fn waits_grow_up_to_a_limit() {
        #[track_caller]
        fn check(count: u32, is_cheap: bool, asked: Option<u64>, expect: u64) {
            let wait = wait(count, is_cheap, asked.map(Duration::from_secs), 0.0);
            assert_eq!(wait, Duration::from_secs(expect), "{count}");
        }
        for (count, expect) in [(1, 60), (2, 300), (3, 1500), (4, 7500), (5, 21_600), (u32::MAX, 21_600)] {
            check(count, false, None, expect);
        }
        for (count, expect) in [(1, 10), (2, 20), (3, 40), (7, 600), (u32::MAX, 600)] {
            check(count, true, None, expect);
        }
        // Retry-After lengthens a wait, within a limit.
        check(1, false, Some(3600), 3600);
        check(3, false, Some(1), 1500);
        check(1, false, Some(u64::MAX), DAY);
        assert_eq!(wait(1, false, None, 1.0), Duration::from_secs(75));
    }
}
