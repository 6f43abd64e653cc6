//! [`Invalidation`] and [`Listener`].

use std::fmt;
use std::sync::{Arc, Weak};

/// A description of the stored responses that become invalid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalidation {
    /// `true` for every response.
    pub all: bool,
    /// Names of groups.
    pub groups: Vec<String>,
    /// Keys.
    pub keys: Vec<String>,
    /// Prefixes of keys, or of paths where the prefix begins with `/`. A store that cannot search
    /// by prefix treats one as [`Invalidation::all`].
    pub prefixes: Vec<String>,
}

/// The target of an invalidation that another instance made.
pub(crate) trait Invalidate: Send + Sync {
    /// Invalidates here, without telling other instances.
    fn invalidate_locally(&self, invalidation: &Invalidation);
}

/// A cache's receiver of the invalidations that other instances made.
#[derive(Clone)]
pub struct Listener(Weak<dyn Invalidate>);

// === impl Invalidation ===

impl Invalidation {
    /// An invalidation of everything.
    #[must_use]
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }
}

// === impl Listener ===

impl Listener {
    pub(crate) fn new<T: Invalidate + 'static>(target: &Arc<T>) -> Self {
        Self(Arc::downgrade(target) as Weak<dyn Invalidate>)
    }

    /// Invalidates what another instance has invalidated.
    pub fn invalidated(&self, invalidation: &Invalidation) {
        if let Some(target) = self.0.upgrade() {
            target.invalidate_locally(invalidation);
        }
    }

    /// Empties the memory, because invalidations of other instances may have been lost.
    pub fn gap(&self) {
        self.invalidated(&Invalidation::all());
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("alive", &(self.0.strong_count() > 0)).finish()
    }
}
