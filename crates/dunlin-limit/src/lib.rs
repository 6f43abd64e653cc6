#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod key;
mod layer;
mod limiter;
mod quota;
mod stats;
mod table;

#[doc(no_inline)]
pub use dunlin_http::{Body, BoxError, ClientInfo, Metric, MetricKind};
pub use error::Error;
pub use key::{Key, client_key};
pub use layer::{RateLimit, RateLimitFuture, RateLimitLayer, refusal};
pub use limiter::{Decision, Limiter};
pub use quota::Quota;
pub use stats::Stats;
