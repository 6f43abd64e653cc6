#![doc = include_str!("../README.md")]

#[cfg(not(unix))]
compile_error!("dunlin-static works on Unix only: it opens files beneath a folder by descriptors");

mod buffer;
mod config;
mod entry;
mod error;
mod files;
mod large;
mod listing;
mod load;
mod located;
mod lookup;
mod path;
mod pool;
mod precondition;
mod range;
mod resolve;
mod respond;
mod root;
mod rules;
mod sealed;
mod shared;
mod siblings;
mod snapshot;
mod stamp;
mod stream;
mod table;
mod tag;
mod variant;
mod verify;
mod walk;

pub use config::Config;
#[doc(no_inline)]
pub use dunlin_http::{Body, BoxError, Clock, Context, Handler, Metric, MetricKind, ReplyFuture, ResponseFuture};
pub use error::Error;
pub use files::{Files, Respond, Stats};
