#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod key;
mod layer;
mod limiter;
mod quota;
mod stats;
mod table;

pub use error::QuotaError;
pub use key::{Key, client_key};
pub use layer::{RateLimit, RateLimitFuture, RateLimitLayer, refusal};
pub use limiter::{Decision, Limiter};
pub use quota::Quota;
pub use stats::Stats;
