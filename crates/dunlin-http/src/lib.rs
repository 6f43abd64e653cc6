//! The vocabulary of HTTP that dunlin's crates share.
//!
//! Everything here is pure and synchronous: no runtime, no socket, no file. Parsers take header fields and give types;
//! decisions take what they need as arguments, the time included.
//!
//! - [`Body`] is what every service of dunlin answers with: nothing, bytes that are complete, or a boxed stream. Bytes
//!   that are handed out again and again carry a [`BodyId`], so that what is derived from them can be kept.
//! - [`Reply`] is a response, or one whose head was written before: what a cache, a server and a compression layer hand each
//!   other where no other layer stands between.
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
pub mod date;
mod interim;
pub mod list;
pub mod media_type;
pub mod negotiate;
mod params;
mod problem;
pub mod query;
pub mod range;
mod reply;
pub mod vary;

#[cfg(unix)]
pub use body::Mapped;
pub use body::{Body, BodyError, BodyId, BoxError, Limited};
pub use clock::Clock;
pub use interim::{Interim, SendInterim};
pub use params::PathParams;
pub use problem::Problem;
pub use reply::{Ahead, Change, KeptHead, Lines, Ready, Reply};
