//! The client and the proxy against origins that behave as a script tells them.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod bodies;
mod early;
mod fields;
mod framing;
mod pool;
mod race;
mod slow;
mod support;
mod text;
mod tls;
mod unix;
mod upgrade;
