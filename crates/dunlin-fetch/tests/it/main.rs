//! The client and the proxy against scripted origins.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod bodies;
mod early;
mod fields;
mod framing;
mod handler;
mod http2;
mod pool;
mod request;
mod retries;

mod support;
mod text;
mod timeouts;
mod tls;
mod unix;
mod upgrade;
mod upstream;
