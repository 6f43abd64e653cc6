//! The vocabulary of HTTP that dunlin's crates share.
//!
//! Everything here is pure and synchronous: no runtime, no socket, no file. Parsers take header
//! fields and give types; decisions take what they need as arguments, the time included.
//!
//! - [`Body`] is what every service of dunlin answers with: nothing, bytes that are complete, or a boxed stream. Bytes
//!   that are handed out again and again carry a [`BodyId`], so that what is derived from them can be kept.
//! - [`Handler`] is the interface of every handler and every layer, with an adapter each way to tower.
//! - [`Reply`] is a response, or a stored one whose head was written before.
//! - [`Context`] is what a handler may know of a request besides its message.
//! - [`Metric`] is a figure that describes itself.
//! - [`Problem`] is a client's error as RFC 9457 has it.
//! - [`PathParams`] is what a router matched.
//! - [`Interim`] is where responses go that tell something before the final one.
//! - [`Clock`] is the one place that asks the system for the time.
//! - The rest is header semantics, a module for each part of the RFCs: [`conditional`], [`range`], [`negotiate`],
//!   [`cache_control`], [`media_type`], [`list`], [`date`].
//!
//! ```
//! use dunlin_http::{Body, Problem};
//! use http::{Response, StatusCode};
//!
//! fn hello(name: &str) -> Response<Body> {
//!     if name.is_empty() {
//!         return Problem::new(StatusCode::BAD_REQUEST).detail("name is empty").into_response();
//!     }
//!     Response::new(Body::from(format!("Hello, {name}!")))
//! }
//!
//! assert_eq!(hello("World").into_body().as_bytes(), Some(&b"Hello, World!"[..]));
//! assert_eq!(hello("").headers()["content-type"], "application/problem+json");
//! ```

mod body;
pub mod cache_control;
mod clock;
pub mod conditional;
mod content_hash;
mod context;
mod counter;
pub mod date;
pub mod fields;
pub mod forwarded;
mod handler;
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
pub use clock::Clock;
pub use content_hash::{ContentHash, ContentHasher};
pub use context::{ClientInfo, Context};
pub use counter::Counter;
pub use handler::{
    FromRequest, FromTower, Handler, ReplyFuture, ResponseFuture, ServiceFuture, SharedHandler, ToTower,
};
pub use identity::Identity;
pub use interim::{Interim, SendInterim};
pub use metric::{Metric, MetricKind};
pub use network::{Network, NetworkError};
pub use params::PathParams;
pub use problem::Problem;
pub use reply::{Change, Lines, Reply, StoredHead, StoredReply, VolatileFields};
