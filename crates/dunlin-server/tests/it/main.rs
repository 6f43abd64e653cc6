//! The server over raw sockets, a file for each theme.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "the helpers are tests too"
)]

mod support;

mod any_bytes;
mod attacks;
mod basics;
mod bodies;
mod deadlines;
mod descriptors;
mod floods;
mod http2;
mod http2_malformed;
mod http2_streams;
mod interim;
mod listening;
mod log;
mod malformed;
mod mapped;
mod panics;
mod restart;
mod services;
mod shutdown;
mod targets;
mod tls;
mod tunnels;
mod upgrade;
