//! The cache in front of an origin that is scripted per test, in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

mod anything;
mod collapse;
mod groups;
mod memory;
mod model;
mod ready;
mod rfc9111;
mod rfc9211;
mod rfc9213;
mod search;
mod stress;
mod told_apart;
mod world;
