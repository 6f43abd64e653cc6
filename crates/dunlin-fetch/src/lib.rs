#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("dunlin-fetch works on Unix only: it connects to upstreams on Unix sockets");

mod client;
mod config;
mod error;
mod proxy;
mod request;
mod text;
mod upstream;

pub use client::{Client, ClientStats};
pub use config::{Config, Protocol};
#[doc(no_inline)]
pub use dunlin_http::{
    Body, BodyError, BoxError, ClientInfo, Context, Handler, Interim, Metric, MetricKind, Network, Problem, Reply,
    ReplyFuture, ResponseFuture, SendInterim,
};
pub use error::Error;
pub use proxy::{Proxy, ProxyConfig};
pub use request::{ClientResponse, RequestBuilder};
pub use text::{FetchService, Text};
pub use upstream::{Balance, Ejection, HashKey, HealthCheck, ServerState, ServerStatus, Upstream, UpstreamConfig};
