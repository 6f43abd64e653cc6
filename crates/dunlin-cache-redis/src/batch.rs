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
    pub(crate) prefixes: HashSet<String>,
    pub(crate) keys: HashSet<String>,
}

// === impl Batch ===

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.groups.is_empty() && self.prefixes.is_empty() && self.keys.is_empty()
    }

    /// The groups, then the prefixes, then the keys.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.groups.iter().chain(&self.prefixes).chain(&self.keys)
    }

    /// Adds the invalidations of `other`. The size stays limited, however many there are.
    pub(crate) fn merge(&mut self, other: Self) {
        self.all |= other.all;
        self.groups.extend(other.groups);
        self.prefixes.extend(other.prefixes);
        self.keys.extend(other.keys);
        if self.all || self.names().count() > MAX_NAMES {
            *self = Self { all: true, ..Self::default() };
        }
    }
}

impl From<&Invalidation> for Batch {
    fn from(invalidation: &Invalidation) -> Self {
        let set = |names: &[String]| names.iter().cloned().collect();
        Self {
            all: invalidation.all,
            groups: set(&invalidation.groups),
            prefixes: set(&invalidation.prefixes),
            keys: set(&invalidation.keys),
        }
    }
}

impl From<Batch> for Invalidation {
    fn from(batch: Batch) -> Self {
        let list = |names: HashSet<String>| names.into_iter().collect();
        Self { all: batch.all, groups: list(batch.groups), prefixes: list(batch.prefixes), keys: list(batch.keys) }
    }
}
