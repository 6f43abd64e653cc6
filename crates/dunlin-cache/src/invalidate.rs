//! Invalidation: of groups, URLs, prefixes and everything.

use crate::core::Core;
use crate::entry::Entry;
use crate::generations::Slot;
use crate::policy::key::Target;
use crate::prefix_purges;
use crate::store::{Invalidate, Invalidation};

// === impl Core ===

impl Core {
    /// Invalidates here and in the second level, for all instances that share it.
    pub(crate) fn invalidate(&self, invalidation: &Invalidation) {
        self.counters.invalidations.increment();
        self.invalidate_locally(invalidation);
        if let Some(second) = &self.second {
            second.invalidate(invalidation);
        }
    }

    /// As [`Core::invalidate`], and returns the number of responses in memory that it removed. It
    /// looks at every entry.
    pub(crate) fn purge(&self, invalidation: &Invalidation) -> u64 {
        let slots = self.slots(invalidation);
        let is_named = |entry: &Entry| {
            invalidation.all
                || entry.slots.iter().any(|slot| slots.contains(slot))
                || has_prefix(entry, &invalidation.prefixes)
        };
        let purged = self.memory.select(|entry| self.is_current(entry) && is_named(entry));
        self.invalidate(invalidation);
        purged.iter().for_each(|(hash, entry)| self.memory.remove(*hash, entry));
        purged.len() as u64
    }

    /// Returns `true` if no invalidation has overtaken a stored response.
    pub(crate) fn is_current(&self, entry: &Entry) -> bool {
        let key = || String::from_utf8_lossy(&entry.key).into_owned();
        self.generations.is_current(entry.since, &entry.slots) && !self.prefix_purges.overtook(entry.since, key)
    }

    fn remove_prefixes(&self, invalidation: &Invalidation, number: u64) {
        for prefix in &invalidation.prefixes {
            self.prefix_purges.add(number, prefix);
        }
        let is_named = |entry: &Entry| entry.since < number && has_prefix(entry, &invalidation.prefixes);
        for (hash, entry) in self.memory.select(is_named) {
            self.memory.remove(hash, &entry);
        }
    }

    fn slots(&self, invalidation: &Invalidation) -> Vec<Slot> {
        let mut slots: Vec<Slot> = invalidation.groups.iter().map(|group| self.seeds.name(group).into()).collect();
        for target in targets(invalidation) {
            slots.extend([target.hash(&self.seeds), target.path_hash(&self.seeds)].map(Slot::from));
        }
        slots
    }
}

impl Invalidate for Core {
    fn invalidate_locally(&self, invalidation: &Invalidation) {
        if invalidation.all {
            self.generations.flush();
            self.memory.clear();
        }
        let number = self.generations.invalidate(self.slots(invalidation));
        for target in targets(invalidation) {
            self.memory.remove_key(target.hash(&self.seeds));
        }
        if !invalidation.prefixes.is_empty() {
            self.remove_prefixes(invalidation, number);
        }
        self.observers.read().iter().for_each(|observer| observer(invalidation));
    }
}

/// Adds a path and query on an origin (RFC 9111 §4.4): every variant, and every key that is made
/// from a part of the query or from the client.
pub(crate) fn add_url(invalidation: &mut Invalidation, secure: bool, authority: &str, target: &str) {
    let target = Target::of_url(secure, authority, target);
    invalidation.keys.push(target.text());
    invalidation.groups.push(target.path_text());
}

/// The URLs among the keys of an invalidation.
fn targets(invalidation: &Invalidation) -> impl Iterator<Item = Target<'_>> {
    invalidation.keys.iter().map(|key| {
        let (scheme, rest) = key.split_once("://").unwrap_or(("http", key));
        let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Target::of_url(scheme == "https", authority, target)
    })
}

fn has_prefix(entry: &Entry, prefixes: &[String]) -> bool {
    let key = String::from_utf8_lossy(&entry.key);
    prefixes.iter().any(|prefix| prefix_purges::matches(prefix, &key))
}
