//! [`Scopes`]: the settings that responses were stored under.

use std::collections::HashSet;

use dunlin_cache::Cache;
use parking_lot::Mutex;

use crate::reader::Fingerprint;

/// The settings of the routes of a plan, as names in the cache; see [`dunlin_cache::RoutePolicy`].
pub(crate) struct Scopes {
    cache: Cache,
    all: HashSet<Fingerprint>,
    /// The names that a later plan does not have.
    ended: Mutex<Vec<String>>,
}

/// The name of a route's settings in the cache.
pub(super) fn scope(settings: Fingerprint) -> String {
    format!("settings {settings}")
}

// === impl Scopes ===

impl Scopes {
    pub(super) fn new(cache: &Cache, settings: &[Option<Fingerprint>]) -> Self {
        let all = settings.iter().flatten().copied().collect();
        Self { cache: cache.clone(), all, ended: Mutex::default() }
    }

    /// Removes what routes have stored that `next` does not have any more. What their last requests
    /// store is removed when these have ended.
    pub(crate) fn end(&self, next: &Self) {
        let ended: Vec<String> = self.all.difference(&next.all).copied().map(scope).collect();
        if !ended.is_empty() {
            self.cache.invalidate_groups(&ended);
            *self.ended.lock() = ended;
        }
    }
}

impl Drop for Scopes {
    fn drop(&mut self) {
        let ended = self.ended.get_mut();
        if !ended.is_empty() {
            self.cache.invalidate_groups(ended);
        }
    }
}
