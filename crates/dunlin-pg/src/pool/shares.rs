//! [`Shares`]: how the shared connections are divided among the pools of a database.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::lanes::Lanes;

/// Divides the shared connections of a process among its pools.
pub(crate) struct Shares {
    /// The number that each pool has, if there are no more pools than were announced.
    each: usize,
    /// The number of all pools together.
    total: usize,
    pools: Mutex<Pools>,
}

#[derive(Default)]
struct Pools {
    open: Vec<Weak<Lanes>>,
    /// `true` if the log has said that there are more pools than were announced.
    is_reported: bool,
}

// === impl Shares ===

impl Shares {
    /// For `pools` pools with `each` connections.
    pub(crate) fn new(each: usize, pools: usize) -> Self {
        Self { each, total: each * pools, pools: Mutex::default() }
    }

    /// The number of shared connections.
    pub(crate) const fn total(&self) -> usize {
        self.total
    }

    /// Adds a pool, which gets a share of the others' connections.
    pub(super) fn add(&self, lanes: &Arc<Lanes>) {
        self.pools.lock().open.push(Arc::downgrade(lanes));
        self.divide();
    }

    /// Gives the share of a pool that has ended to the others.
    pub(super) fn remove(&self, lanes: &Arc<Lanes>) {
        self.pools.lock().open.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(lanes)));
        self.divide();
    }

    fn divide(&self) {
        let mut pools = self.pools.lock();
        pools.open.retain(|lanes| lanes.strong_count() > 0);
        let count = pools.open.len();
        for (index, lanes) in pools.open.iter().enumerate() {
            if let Some(lanes) = lanes.upgrade() {
                lanes.want(share(self.total, count, index).min(self.each));
            }
        }
        if count * self.each > self.total && !pools.is_reported {
            pools.is_reported = true;
            tracing::warn!(
                pools = count,
                shared = self.total,
                "more pools than Config::pools says: they divide the shared connections; set it to their number"
            );
        }
    }
}

/// The share of one of several pools. The first ones get what is left over.
fn share(total: usize, pools: usize, index: usize) -> usize {
    total / pools + usize::from(index < total % pools)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_complete() {
        for total in 0..20 {
            for pools in 1..8 {
                let all: Vec<_> = (0..pools).map(|index| share(total, pools, index)).collect();
                assert_eq!(all.iter().sum::<usize>(), total);
                assert!(all[0] - all[pools - 1] <= 1, "{all:?}");
            }
        }
    }
}
