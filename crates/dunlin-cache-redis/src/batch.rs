//! [`Batch`].

use std::collections::HashSet;

use dunlin_cache::store::Invalidation;

/// The limit of names in a batch. A batch with more invalidates everything.
pub(crate) const MAX_NAMES: usize = 10_000;

/// A set of invalidations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) all: bool,
    pub(crate) groups: HashSet<String>,
    pub(crate) keys: HashSet<String>,
}

// === impl Batch ===

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.groups.is_empty() && self.keys.is_empty()
    }

    /// Adds the invalidations of `other`. The size stays limited, however many there are.
    pub(crate) fn merge(&mut self, other: Self) {
        self.all |= other.all;
        self.groups.extend(other.groups);
        self.keys.extend(other.keys);
        if self.all || self.groups.len() + self.keys.len() > MAX_NAMES {
            *self = Self { all: true, ..Self::default() };
        }
    }
}

impl From<&Invalidation> for Batch {
    fn from(invalidation: &Invalidation) -> Self {
        let set = |names: &[String]| names.iter().cloned().collect();
        // The server cannot search by prefix.
        let all = invalidation.all || !invalidation.prefixes.is_empty();
        Self { all, groups: set(&invalidation.groups), keys: set(&invalidation.keys) }
    }
}

impl From<Batch> for Invalidation {
    fn from(batch: Batch) -> Self {
        let (groups, keys) = (batch.groups.into_iter().collect(), batch.keys.into_iter().collect());
        Self { all: batch.all, groups, keys, prefixes: Vec::new() }
    }
}
