//! A second level for `dunlin-cache`, shared by many instances, on Redis or Valkey.
//!
//! Each instance keeps its memory in front; what that does not have is looked for on the server
//! before the origin is asked, and what an instance stores is there for all. Invalidations of
//! groups and URLs reach every instance by publish and subscribe. A subscription that was
//! interrupted may have missed some, so the memory is emptied when it stands again.
//!
//! - **It is never in the way.** A server that is away, slow or full is a miss. Nobody waits for a connection; a command that takes too
//!   long is given up, and after some of these the connection is. What is on its way is bounded.
//! - **It is never older than it may be.** The server counts invalidations, and every entry comes with the count that stood when its fill
//!   began: one that was overtaken is not kept and not given, whichever instance is slow. An invalidation that the server
//!   cannot be told of waits until it can, and until then this instance takes nothing from it. A server that restarted, or
//!   forgot a part of what it knew, is not trusted with the rest. What is left is the time that a message takes; while an
//!   instance is cut off from the server, it does not hear of others' invalidations.
//!
//! How long a message takes, `examples/invalidation.rs` tells of your machine: from the
//! invalidation on one instance to the first new answer of another, half of them took 1.2 ms and 99
//! in 100 less than 25 ms in a debug build on two cores that five times as much was waiting for.
//!
//! The server has to be one, or one with replicas behind it; Redis from 6.0 on or Valkey. Give it a
//! bound of its own: `maxmemory` with `maxmemory-policy allkeys-lru`. The store has a thread of its
//! own, and so fits any runtime.
//!
//! ```
//! use dunlin_cache::{Cache, Config};
//! use dunlin_cache_redis::RedisStore;
//! use dunlin_http::Clock;
//!
//! // Nobody listens there, which is no error: the cache has its memory alone until somebody does.
//! let store = RedisStore::open(dunlin_cache_redis::Config::new("redis://127.0.0.1:1/"))?;
//! let cache = Cache::with_store(Config::default(), Clock::system(), store.clone());
//! // … cache.layer(…) as ever.
//! assert!(!store.stats().connected);
//! # drop(cache);
//! # Ok::<(), dunlin_cache_redis::Error>(())
//! ```

mod config;
mod event;
mod feed;
mod link;
mod pending;
mod script;
mod stats;
mod store;

pub use config::Config;
pub use stats::Stats;
pub use store::{Error, RedisStore};
