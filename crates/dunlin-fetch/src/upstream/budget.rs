//! [`Budget`]: the limit of repeated requests.

use std::sync::atomic::{AtomicU32, Ordering};

/// The limit of requests that are sent a second time: one for each five requests.
///
/// Without it, repeats would multiply the load on servers that fail because of their load.
///
/// Unused repeats are kept, up to a hundred.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

/// The parts of a repeat that one request adds.
const DEPOSIT: u32 = 1;
/// The parts of a repeat.
const PRICE: u32 = 5;
/// The repeats at the start.
const START: u32 = 20;
/// The limit of repeats that are kept.
const MAX: u32 = 100;

// === impl Budget ===

impl Budget {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(START * PRICE))
    }

    /// Notes a request.
    pub(super) fn deposit(&self) {
        let now = self.0.load(Ordering::Relaxed);
        // A concurrent deposit may be lost. A full budget is not written to.
        if now < MAX * PRICE {
            let _ = self.0.compare_exchange(now, now + DEPOSIT, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Returns `true` if a request may be repeated.
    pub(super) fn withdraw(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| now.checked_sub(PRICE)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn repeats_are_a_fifth_of_the_requests(requests in proptest::collection::vec(any::<bool>(), 0..2000)) {
            let budget = Budget::new();
            let (mut sent, mut repeated) = (0, 0);
            for fails in requests {
                budget.deposit();
                sent += 1;
                if fails && budget.withdraw() {
                    repeated += 1;
                }
                prop_assert!(repeated <= START + sent / PRICE);
            }
        }
    }

    #[test]
    fn a_full_budget_has_a_limit() {
        let budget = Budget::new();
        (0..10_000).for_each(|_| budget.deposit());
        assert_eq!((0..1000).filter(|_| budget.withdraw()).count(), MAX as usize);
    }
}
