//! Encoders and parameters, with a real PostgreSQL as the oracle.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail by panicking")]

mod catalogue;
mod extensions;
mod formats;
mod oracle;
mod params;
mod properties;
mod session;
