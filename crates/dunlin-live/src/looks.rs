//! [`Looks`]: the looks at a topic that have begun, and the one that is wanted.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The looks at one topic, by number. They follow one another.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    numbers: Mutex<Numbers>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Numbers {
    /// The last look that has begun.
    begun: u64,
    /// The last look that is needed.
    wanted: u64,
}

// === impl Looks ===

impl Looks {
    /// Asks for a look that begins after this call.
    pub(crate) fn want(&self) {
        let mut numbers = self.numbers.lock();
        numbers.wanted = numbers.begun + 1;
        drop(numbers);
        self.wake.notify_one();
    }

    /// The look whose result is new enough for a watcher that comes now: the last one, unless a
    /// later one is wanted.
    pub(crate) fn current(&self) -> u64 {
        let numbers = self.numbers.lock();
        numbers.wanted.max(numbers.begun)
    }

    /// Waits until a look is wanted.
    pub(crate) async fn wanted(&self) {
        loop {
            let wanted = {
                let numbers = self.numbers.lock();
                numbers.wanted > numbers.begun
            };
            if wanted {
                return;
            }
            // A call that came since left a permit.
            self.wake.notified().await;
        }
    }

    /// Begins the next look, and returns its number. What is wanted from now on is a later one.
    pub(crate) fn begin(&self) -> u64 {
        let mut numbers = self.numbers.lock();
        numbers.begun += 1;
        numbers.begun
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_call_during_a_look_wants_another_one() {
        let looks = Looks::default();
        assert!(looks.wanted().now_or_never().is_none());
        looks.want();
        looks.want();
        assert_eq!(looks.current(), 1);
        assert!(looks.wanted().now_or_never().is_some());
        assert_eq!(looks.begin(), 1);
        assert!(looks.wanted().now_or_never().is_none(), "one look is for both calls");
        assert_eq!(looks.current(), 1);
        looks.want();
        assert_eq!(looks.current(), 2);
        assert!(looks.wanted().now_or_never().is_some());
    }
}
