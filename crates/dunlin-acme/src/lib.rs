#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod acme;
mod attempt;
mod certificate;
mod challenge;
mod client;
mod config;
mod entry;
mod error;
mod failure;
mod order;
mod schedule;
mod stats;
mod storage;

pub use acme::{Acme, Install, Pem};
pub use certificate::Facts;
pub use config::{ChallengeKind, Config, ExternalAccount, host_name};
#[doc(no_inline)]
pub use dunlin_http::{BoxError, Metric, MetricKind};
pub use error::Error;
pub use stats::{Stats, Status};

/// Runs work that waits for files on a thread that may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
