#![doc = include_str!("../README.md")]
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "a test kit fails by panicking")]
#![allow(clippy::must_use_candidate, reason = "many functions are called for their effect")]

mod browser;
mod child;
pub mod origin;
mod pebble;
pub mod pg;
mod pgbouncer;
mod port;
mod postgres;
pub mod raw;
mod redis;
mod tool;

pub use browser::{Browser, Page};
pub use origin::Origin;
pub use pebble::{Pebble, PebbleConfig};
pub use pgbouncer::PgBouncer;
pub use port::free_port;
pub use postgres::Postgres;
pub use redis::Redis;
pub use tool::tool;

/// The time that a test waits for a condition before it fails. It is much longer than anything
/// takes, even if ten processes compete for each processor, so that only a failure waits that long.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Calls `done` until it returns `true`.
///
/// # Panics
/// Panics after [`PATIENCE`], and says that `what` did not happen.
#[track_caller]
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
