//! [`Pace`]: the progress of a peer while the server waits for it.

use super::Tick;

/// The progress of a peer since the last full window of waiting.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    waited: Tick,
    from: u64,
}

/// The slowest pace that is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinPace {
    /// Milliseconds of waiting after which a peer is judged.
    pub(crate) window: Tick,
    /// Bytes a second.
    pub(crate) rate: u64,
}

// === impl Pace ===

impl Pace {
    /// Adds `passed` milliseconds, after which the count of bytes is `total`. Returns `true` if a
    /// whole window of waiting has passed with less progress than `min`.
    pub(crate) fn is_too_slow(&mut self, waiting: bool, total: u64, passed: Tick, min: MinPace) -> bool {
        if !waiting {
            // Neither time nor bytes count while the server does not wait.
            if total != self.from {
                *self = Self { waited: 0, from: total };
            }
            return false;
        }
        self.waited = self.waited.saturating_add(passed);
        if self.waited < min.window {
            return false;
        }
        let moved = total.saturating_sub(self.from);
        let is_slow = moved * 1000 < min.rate * u64::from(self.waited) || moved == 0;
        *self = Self { waited: 0, from: total };
        is_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges every 100 ms a peer that moves `step` bytes in between. Returns the number of the
    /// judgement that found it too slow.
    fn looks(step: u64, waiting: bool) -> Option<u32> {
        let (mut pace, min) = (Pace::default(), MinPace { window: 1000, rate: 500 });
        (1..=100).find(|look| pace.is_too_slow(waiting, u64::from(*look) * step, 100, min))
    }

    #[test]
    fn a_slow_peer_is_found_after_one_window_of_waiting() {
        assert_eq!(looks(0, true), Some(10));
        assert_eq!(looks(1, true), Some(10));
        assert_eq!(looks(49, true), Some(10));
        assert_eq!(looks(51, true), None);
        assert_eq!(looks(0, false), None);
    }
}
