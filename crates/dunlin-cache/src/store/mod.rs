//! The second level: what several instances share behind the memory of each.

pub(crate) mod record;
pub(crate) mod second;
mod share;

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::BoxError;

use crate::core::Core;

/// A second level, shared by many instances. It is asked before the origin is, when the memory has
/// no answer, and given what is stored.
///
/// What it holds is opaque to it, but for two things that it has to keep apart: *when* and *of
/// what*. It numbers the invalidations that it hears of; an entry comes with the number that stood
/// when its fill began, and with the names of its groups. An entry must not be given any more once
/// its key, or one of its groups, has been invalidated with a higher number, whichever instance did
/// it, and one that comes too late must not be kept. Where a store cannot tell, it has to take the
/// worst for true.
///
/// A store that fails or is slow is a miss: the cache waits for
/// [`Config::store_timeout`](crate::Config::store_timeout) at most, and after some failures in a
/// row leaves it alone for [`Config::store_pause`](crate::Config::store_pause).
pub trait Store: Send + Sync + 'static {
    /// What is stored for a key. `None` when the store cannot be asked at the moment: then it is
    /// not given the answer either.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; it counts as a failure.
    fn load(&self, key: &str) -> impl Future<Output = Result<Option<Loaded>, BoxError>> + Send;

    /// Keeps an entry in the place of the one of the same variant, in its own time; nobody waits
    /// for it.
    fn save(&self, key: &str, saved: Saved);

    /// Invalidates, here and for all who share the store. From when it returns this store gives
    /// nothing any more that was there before. Should the store not be reachable, it has to be told
    /// as soon as it is.
    fn invalidate(&self, what: &Invalidation);

    /// Is called once, with what is to be told of others' invalidations.
    fn listen(&self, listener: Listener);
}

/// What a store has for a key.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The number of the last invalidation of anything.
    pub stands: u64,
    /// The variants that are good, as they were saved.
    pub variants: Vec<Bytes>,
}

/// What a store is to keep.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The name of the variant: it takes the place of the one of the same name.
    pub variant: String,
    /// The number that stood when its fill began.
    pub stood: u64,
    /// The groups that it belongs to.
    pub groups: Vec<String>,
    /// For how long it may be of use.
    pub ttl: Duration,
    /// The entry itself, in a form that tells its own version.
    pub entry: Bytes,
}

/// What is invalidated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalidation {
    /// Everything.
    pub all: bool,
    /// Groups by name.
    pub groups: Vec<String>,
    /// Keys.
    pub keys: Vec<String>,
}

/// The ear of a cache: a store tells it what other instances have invalidated.
#[derive(Clone)]
pub struct Listener(Weak<Core>);

// === impl Listener ===

impl Listener {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self(Arc::downgrade(core))
    }

    /// Another instance has invalidated this.
    pub fn invalidated(&self, what: &Invalidation) {
        if let Some(core) = self.0.upgrade() {
            core.forget(what);
        }
    }

    /// Something that others have invalidated may have been missed: nothing in memory is sure to be
    /// good.
    pub fn gap(&self) {
        self.invalidated(&Invalidation { all: true, ..Invalidation::default() });
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("alive", &(self.0.strong_count() > 0)).finish()
    }
}
