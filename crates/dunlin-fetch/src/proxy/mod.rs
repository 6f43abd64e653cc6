//! A reverse proxy.
//!
//! `service` has the steps in their order: `target` is the path for the upstream, `max_forwards`
//! ends requests that may go no further, `request` makes the upstream's request, and `response`
//! makes the client's response. `fields`, `forwarded` and `tunnel` are their parts.

mod config;
mod fields;
mod forwarded;
mod max_forwards;
mod request;
mod response;
mod service;
mod state;
mod target;
mod tunnel;

pub use config::ProxyConfig;
pub use service::Proxy;
