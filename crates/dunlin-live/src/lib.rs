#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod accept;
mod config;
mod event;
mod events;
mod hub;
mod looks;
mod shared;
mod source;
mod stats;
mod topic;
mod topics;

pub use accept::{accepts_events, last_event_id};
pub use config::Config;
#[doc(no_inline)]
pub use dunlin_http::{Body, BoxError, Metric, MetricKind};
pub use event::Event;
pub use events::Events;
pub use hub::Hub;
pub use source::{Refused, Request, Source};
pub use stats::Stats;
pub use topic::Snapshot;
