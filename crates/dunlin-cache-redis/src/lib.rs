#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod backoff;
mod batch;
mod config;
mod connection;
mod error;
mod message;
mod pending;
mod script;
mod shared;
mod stats;
mod store;
mod subscription;

pub use config::Config;
pub use error::Error;
pub use stats::Stats;
pub use store::RedisStore;
