//! The second level: a store that several instances share behind the memory of each.

mod invalidation;
pub(crate) mod record;
pub(crate) mod second;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::BoxError;

pub(crate) use invalidation::Invalidate;
pub use invalidation::{Invalidation, Listener};

/// A second level, shared by many instances. The cache looks there after a miss in memory and
/// before it calls the origin, and it saves there what it stores.
///
/// Entries are opaque to a store, but for their generation and their groups. The store numbers the
/// invalidations that it knows of. The generation of an entry is the number from when its fill
/// began. Once the key or a group of an entry was invalidated with a higher number, by any
/// instance, the store must not return that entry, and must not store it if it comes later. Where a
/// store cannot tell, it assumes that the entry is invalid.
///
/// A store that fails or is slow is a miss: the cache waits for
/// [`Config::store_timeout`](crate::Config::store_timeout) at most. After several failures in a row
/// it makes no calls for [`Config::store_pause`](crate::Config::store_pause).
pub trait Store: Send + Sync + 'static {
    /// Looks a key up. Returns `None` if the store cannot be used at the moment; the response of
    /// the origin is not saved there either then.
    ///
    /// # Errors
    ///
    /// Any error counts as a failure of the store.
    fn load(&self, key: &str) -> impl Future<Output = Result<Option<Loaded>, BoxError>> + Send;

    /// Saves an entry in place of the one of the same variant, without making the caller wait.
    fn save(&self, key: &str, saved: Saved);

    /// Invalidates, here and for all instances that share the store. After it returns, this store
    /// returns none of the invalid entries. A store that cannot be reached gets the invalidation as
    /// soon as it can.
    fn invalidate(&self, invalidation: &Invalidation);

    /// Registers the receiver of other instances' invalidations. It is called once.
    fn listen(&self, listener: Listener);
}

/// The entries of a key in a store.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The number of the last invalidation of anything.
    pub generation: u64,
    /// The valid variants, as they were saved.
    pub variants: Vec<Bytes>,
}

/// An entry to save in a store.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The name of the variant. An entry replaces the one of the same name.
    pub variant: String,
    /// The number of the last invalidation from when the fill of this entry began.
    pub generation: u64,
    /// The groups of the entry.
    pub groups: Vec<String>,
    /// The time for which the entry may be of use.
    pub ttl: Duration,
    /// The entry itself, in a form that contains its own version.
    pub entry: Bytes,
}
