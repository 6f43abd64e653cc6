//! Real parts for tests, thrown away afterwards.
//!
//! - [`Postgres`] with its standbys, [`PgBouncer`] before it, and [`Redis`]: servers of a test's own, on free ports, that can be killed and
//!   brought back.
//! - [`raw`]: an HTTP/1.1 client that sends exactly what it is told, and reads one answer.
//! - [`Origin`]: a scripted HTTP server that counts what it is asked.
//! - [`tool()`]: what a command-line program makes of some bytes.
//!
//! Everything blocks and needs no runtime. What goes wrong panics: it is a test that fails. [`pg`]
//! is the part of it that finds and runs PostgreSQL, and gives errors instead; the project's
//! commands use it too.
//!
//! ```
//! use dunlin_testkit::{Origin, raw};
//!
//! let origin = Origin::start(|request| {
//!     assert_eq!(request.target, "/hello");
//!     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".into()
//! });
//! let response = raw::get(origin.addr(), "/hello");
//! assert_eq!((response.status, &response.body[..]), (200, &b"hi"[..]));
//! assert_eq!(origin.count(), 1);
//! ```
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "a test kit fails by panicking")]
#![allow(clippy::must_use_candidate, reason = "much is called for what it does")]

mod child;
pub mod origin;
pub mod pg;
mod pgbouncer;
mod port;
mod postgres;
pub mod raw;
mod redis;
mod tool;

pub use origin::Origin;
pub use pgbouncer::PgBouncer;
pub use port::free_port;
pub use postgres::Postgres;
pub use redis::Redis;
pub use tool::tool;

/// How long a test waits for what has to happen, before it fails. Far more than anything takes,
/// also where ten processes want each processor: only a failure takes it.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Asks `done` until it says yes.
///
/// # Panics
/// After [`PATIENCE`]: `what` did not happen.
#[track_caller]
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
