//! The client and the proxy against origins that behave as a script tells them.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod pool;
mod support;
