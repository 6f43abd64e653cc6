#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod assess;
mod config;
mod content;
mod decompress;
mod encoder;
mod error;
mod facts;
mod future;
mod head;
mod layer;
mod recode;
mod request;
mod service;
mod shared;
mod stats;
mod store;
mod stored;
mod stream;
mod types;
mod workers;

pub use config::{Config, Levels};
pub use decompress::{Decompress, DecompressFuture, DecompressLayer};
#[doc(no_inline)]
pub use dunlin_http::{Body, BoxError, Handler, Metric, MetricKind, Reply, ResponseFuture, negotiate::Coding};
pub use error::Error;
pub use future::CompressFuture;
pub use layer::CompressLayer;
pub use service::Compress;
pub use stats::Stats;
pub use types::Types;
