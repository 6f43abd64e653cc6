//! A shared HTTP response cache by RFC 9111 as a layer: in front of a handler, a router, a proxied
//! origin.
//!
//! [`Cache`] is the store with its clock; [`Cache::layer`] makes a [`CacheLayer`] of it with what
//! one route asks, its [`RoutePolicy`]. The default policy keeps what the answers' own header
//! fields allow. A route's `age` keeps good answers for so long; `groups` names what they belong
//! to, and [`Cache::invalidate_groups`] empties a group at once, so that an answer may be kept for
//! an hour and still never be older than the last change.
//!
//! Who asks for what is on its way already reads the same answer as it comes, its trailers too.
//! Those are stored with it, apart from its header, as RFC 9111 §3.1 asks, but without what is for
//! one client alone: a `Set-Cookie` and fields that `private` names.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::convert::Infallible;
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//!
//! use dunlin_cache::{Cache, Config, RoutePolicy};
//! use dunlin_http::Body;
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let handler = service_fn(async |_: Request<Body>| {
//!     let call = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
//!     Ok::<_, Infallible>(Response::new(Body::from(format!("call {call}"))))
//! });
//!
//! let cache = Cache::new(Config::default());
//! let age = Some(Duration::from_secs(3600));
//! let service = cache.layer(RoutePolicy { age, groups: vec!["users".into()], ..RoutePolicy::default() }).layer(handler);
//!
//! let get = || Request::get("/users/1").body(Body::empty());
//! let first = service.clone().oneshot(get()?).await?;
//! assert_eq!(first.headers()["cache-status"], "dunlin; fwd=uri-miss; fwd-status=200; ttl=3600; stored");
//!
//! let second = service.clone().oneshot(get()?).await?;
//! assert!(second.headers()["cache-status"].to_str()?.starts_with("dunlin; hit; ttl="));
//! assert_eq!(second.into_body().as_bytes(), Some(&b"call 1"[..]));
//!
//! cache.invalidate_groups(&["users"]);
//! let third = service.oneshot(get()?).await?;
//! assert_eq!(third.into_body().as_bytes(), Some(&b"call 2"[..]));
//! # Ok(())
//! # }
//! ```

mod ask;
mod cache;
mod config;
mod core;
mod entry;
mod fields;
mod fill;
mod flights;
mod generations;
mod handler;
mod keep;
mod live;
mod lonely;
mod memo;
mod memory;
mod pass;
mod policy;
mod prefetch;
mod serve;
mod service;
mod stats;
mod status;
pub mod store;
mod sync;
mod tee;
mod trailed;

pub use cache::{Cache, CacheLayer};
pub use config::{Config, QueryKey, RoutePolicy};
pub use service::{CacheService, ReplyFuture, ResponseFuture};
pub use stats::Stats;
