//! [`PrefixPurges`]: the purges by prefix that fills in flight may not know of.

use std::collections::VecDeque;

use parking_lot::RwLock;

/// The limit of remembered purges. A fill that began before the oldest of them is not stored.
const MAX_PURGES: usize = 64;

/// The last purges by prefix.
///
/// A purge by prefix searches the memory, so it misses the fills in flight. Their entries are
/// checked against this list when they are stored.
#[derive(Debug, Default)]
pub(crate) struct PrefixPurges(RwLock<Recent>);

#[derive(Debug, Default)]
struct Recent {
    purges: VecDeque<Purge>,
    /// The number of the last purge that is no longer in the list.
    floor: u64,
}

#[derive(Debug)]
struct Purge {
    number: u64,
    prefix: String,
}

// === impl PrefixPurges ===

impl PrefixPurges {
    /// Remembers a purge. Entries that are stored before it returns are in memory, to be found
    /// there.
    pub(crate) fn add(&self, number: u64, prefix: &str) {
        let mut recent = self.0.write();
        recent.purges.push_back(Purge { number, prefix: prefix.to_owned() });
        if recent.purges.len() > MAX_PURGES
            && let Some(oldest) = recent.purges.pop_front()
        {
            recent.floor = recent.floor.max(oldest.number);
        }
    }

    /// Returns `true` if a purge with a number above `since` has a prefix of this key.
    pub(crate) fn overtook(&self, since: u64, key: impl FnOnce() -> String) -> bool {
        self.0.read().overtook(since, key)
    }

    /// Stores an entry by calling `put`, unless a purge overtook it. Returns `true` if it is
    /// stored.
    pub(crate) fn put_unless_overtaken(&self, since: u64, key: &str, put: impl FnOnce()) -> bool {
        // The lock is held meanwhile, so that a purge either is seen here or finds the entry.
        let recent = self.0.read();
        let stored = !recent.overtook(since, || key.to_owned());
        if stored {
            put();
        }
        stored
    }
}

// === impl Recent ===

impl Recent {
    fn overtook(&self, since: u64, key: impl FnOnce() -> String) -> bool {
        if self.purges.back().is_none_or(|last| last.number <= since) {
            return false;
        }
        let key = key();
        self.floor > since || self.purges.iter().any(|purge| purge.number > since && matches(&purge.prefix, &key))
    }
}

/// Returns `true` if a key begins with `prefix`, or its path does if `prefix` begins with `/`.
pub(crate) fn matches(prefix: &str, key: &str) -> bool {
    if !prefix.starts_with('/') {
        return key.starts_with(prefix);
    }
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.find('/').is_some_and(|path| rest[path..].starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_keys_and_of_paths() {
        let key = "https://example.com/blog/1?x";
        for prefix in ["/", "/blog/", "/b", "https://example.com/", "https://example.com/blog/1"] {
            assert!(matches(prefix, key), "{prefix}");
        }
        for prefix in ["/1", "//", "http://example.com/", "https://example.com/a"] {
            assert!(!matches(prefix, key), "{prefix}");
        }
    }

    #[test]
    fn a_fill_from_before_a_purge_is_overtaken() {
        let purges = PrefixPurges::default();
        let overtook = |since, key: &str| purges.overtook(since, || key.to_owned());
        purges.add(5, "/a/");
        assert!(overtook(4, "http://h/a/b") && !overtook(5, "http://h/a/b") && !overtook(4, "http://h/b"));
        assert!(!purges.put_unless_overtaken(4, "http://h/a/b", || panic!("it is stored")));
        for number in 6..=6 + MAX_PURGES as u64 {
            purges.add(number, "/c/");
        }
        assert!(overtook(4, "http://h/b"), "beyond the limit every older fill counts as overtaken");
    }
}
