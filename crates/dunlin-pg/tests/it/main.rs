//! Tests with a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod chaos;
mod clean;
mod features;
mod heal;
mod listen;
mod migrated;
mod pooler;
mod replica;
mod round_trips;
mod service;
mod settings;
mod stats;
mod statuses;
mod stream;
mod support;
mod tls;
mod transaction;
mod typed;
mod waits;
