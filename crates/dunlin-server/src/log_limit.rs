//! [`LogLimit`]: a limit of log lines that clients can cause.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A limit of the log lines of one loop that clients can cause, so that an attack does not fill the
/// log.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    second: AtomicU64,
    lines: AtomicU32,
    suppressed: AtomicU64,
}

/// The limit of lines in one second.
const LINES: u32 = 10;

// === impl LogLimit ===

impl LogLimit {
    /// Returns `None` if the limit of `second`, counted from 1970, is reached. Otherwise returns
    /// the number of lines that were suppressed since the last one.
    pub(crate) fn allow(&self, second: u64) -> Option<u64> {
        if self.second.swap(second, Relaxed) != second {
            self.lines.store(0, Relaxed);
        }
        if self.lines.fetch_add(1, Relaxed) >= LINES {
            self.suppressed.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.suppressed.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_second_are_limited_and_suppressed_ones_are_counted() {
        let limit = LogLimit::default();
        let lines = (0..LINES + 5).filter(|_| limit.allow(7) == Some(0)).count();
        assert_eq!(lines, LINES as usize);
        assert_eq!((limit.allow(8), limit.allow(8)), (Some(5), Some(0)));
    }
}
