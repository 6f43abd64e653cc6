//! The cache in front of a scripted origin, in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

mod anything;
mod collapse;
mod groups;
mod handler;
mod identity;
mod memory;
mod model;
mod purge;
mod rfc9111;
mod rfc9211;
mod rfc9213;
mod search;
mod stored_reply;
mod stress;
mod variants;
mod world;
