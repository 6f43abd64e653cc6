//! The cache in front of an origin that is scripted per test, in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "a test that fails panics")]

mod rfc9111;
mod world;
