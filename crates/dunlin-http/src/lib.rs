#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod bounded;
pub mod cache_control;
mod clock;
pub mod conditional;
mod content_hash;
mod context;
mod counter;
pub mod date;
mod error;
pub mod fields;
pub mod forwarded;
mod handler;
mod histogram;
pub mod hop_by_hop;
mod identity;
mod interim;
pub mod list;
pub mod media_type;
mod metric;
pub mod negotiate;
mod network;
mod params;
mod problem;
pub mod query;
pub mod range;
mod reply;
pub mod target;
pub mod vary;

#[cfg(unix)]
pub use body::Mapped;
pub use body::{Body, BodyError, BodyId, BoxError, Limited};
pub use bounded::read_bounded;
pub use clock::Clock;
pub use content_hash::{ContentHash, ContentHasher};
pub use context::{ClientContext, ClientInfo, Context, FromRequest, UpstreamSlot};
pub use counter::Counter;
pub use error::Error;
pub use handler::{FromTower, Handler, ReplyFuture, ResponseFuture, ServiceFuture, SharedHandler, ToTower};
pub use histogram::{Histogram, HistogramCounts};
pub use identity::Identity;
pub use interim::{Interim, SendInterim};
pub use metric::{Metric, MetricKind};
pub use network::Network;
pub use params::PathParams;
pub use problem::{Generated, Problem};
pub use reply::{Change, Lines, Reply, StoredHead, StoredReply, VolatileFields};
