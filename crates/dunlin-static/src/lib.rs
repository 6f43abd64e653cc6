#![doc = include_str!("../README.md")]

mod buffer;
mod config;
mod entry;
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

pub use config::{Config, Error};
pub use files::{Files, Respond, ResponseFuture, Stats};
