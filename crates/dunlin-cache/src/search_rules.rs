//! [`SearchRules`]: the last `No-Vary-Search` of each path.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::HeaderMap;
use quick_cache::sync::Cache as Index;

use crate::policy::key::{KeyHash, Query, Target};
use crate::policy::no_vary_search::NoVarySearch;

/// The last `No-Vary-Search` of each path, by the path's hash.
pub(crate) struct SearchRules {
    rules: Index<KeyHash, Arc<NoVarySearch>>,
    /// `false` until the first rule, so that most caches never look one up.
    any: AtomicBool,
}

// === impl SearchRules ===

impl SearchRules {
    pub(crate) fn new(paths: usize) -> Self {
        Self { rules: Index::new(paths), any: AtomicBool::new(false) }
    }

    /// The canonical query by the rule of this path, if there is one.
    pub(crate) fn reduced(&self, target: &Target<'_>, path: impl FnOnce() -> KeyHash) -> Option<String> {
        let Query::Whole(query) = target.query else { return None };
        if !self.any.load(Relaxed) {
            return None;
        }
        Some(self.rules.get(&path())?.canonical(query.unwrap_or_default()))
    }

    /// Notes the rule of a response, or that it has none. Returns the canonical query by it.
    pub(crate) fn note(&self, path: KeyHash, target: &Target<'_>, headers: &HeaderMap) -> Option<String> {
        let rule = match target.query {
            Query::Whole(query) => NoVarySearch::of(headers).map(|rule| (rule, query)),
            Query::Declared(..) | Query::Reduced(_) => None,
        };
        match rule {
            Some((rule, query)) => {
                let reduced = rule.canonical(query.unwrap_or_default());
                self.rules.insert(path, Arc::new(rule));
                self.any.store(true, Relaxed);
                Some(reduced)
            }
            None => {
                if self.any.load(Relaxed) {
                    self.rules.remove(&path);
                }
                None
            }
        }
    }
}
