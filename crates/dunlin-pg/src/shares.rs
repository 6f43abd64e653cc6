//! [`Shares`]: the division of the shared connections among the pools of a database.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Divides the shared connections of a process among its pools.
pub(crate) struct Shares {
    /// The number for each pool, if there are no more pools than configured.
    each: usize,
    /// The number for all pools together.
    total: usize,
    pools: Mutex<Pools>,
}

/// The share of one pool.
#[derive(Default)]
pub(crate) struct Share {
    count: AtomicUsize,
    /// Wakes the keeper of the pool's connections.
    pub(crate) wake: Notify,
}

#[derive(Default)]
struct Pools {
    open: Vec<Weak<Share>>,
    /// `true` if the log already has the warning about too many pools.
    is_reported: bool,
}

// === impl Shares ===

impl Shares {
    /// Makes shares of `each` connections for `pools` pools.
    pub(crate) fn new(each: usize, pools: usize) -> Self {
        Self { each, total: each * pools, pools: Mutex::default() }
    }

    /// The number of shared connections of the process.
    pub(crate) const fn total(&self) -> usize {
        self.total
    }

    /// Adds a pool. If there are more pools than configured, the other shares shrink.
    pub(crate) fn add(&self) -> Arc<Share> {
        let share = Arc::<Share>::default();
        self.pools.lock().open.push(Arc::downgrade(&share));
        self.divide();
        share
    }

    /// Removes a pool that has ended. The other shares may grow.
    pub(crate) fn remove(&self, share: &Arc<Share>) {
        self.pools.lock().open.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(share)));
        self.divide();
    }

    fn divide(&self) {
        let mut pools = self.pools.lock();
        pools.open.retain(|share| share.strong_count() > 0);
        let count = pools.open.len();
        for (index, share) in pools.open.iter().enumerate() {
            if let Some(share) = share.upgrade() {
                share.set(part(self.total, count, index).min(self.each));
            }
        }
        if count * self.each > self.total && !pools.is_reported {
            pools.is_reported = true;
            tracing::warn!(
                pools = count,
                shared = self.total,
                "there are more pools than Config::pools, so they divide the shared connections; raise Config::pools"
            );
        }
    }
}

// === impl Share ===

impl Share {
    /// The number of connections.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn set(&self, count: usize) {
        if self.count.swap(count, Ordering::Relaxed) != count {
            self.wake.notify_one();
        }
    }
}

/// The part of one of several pools. The first pools get the remainder.
fn part(total: usize, pools: usize, index: usize) -> usize {
    total / pools + usize::from(index < total % pools)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_even_and_complete() {
        for total in 0..20 {
            for pools in 1..8 {
                let all: Vec<_> = (0..pools).map(|index| part(total, pools, index)).collect();
                assert_eq!(all.iter().sum::<usize>(), total);
                assert!(all[0] - all[pools - 1] <= 1, "{all:?}");
            }
        }
    }
}
