//! The store with a real server, alone and behind caches.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod caches;
mod protocol;
mod tls;
