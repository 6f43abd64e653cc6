//! A compression layer: RFC 9110 negotiation, zstd, brotli and gzip, streams that keep flowing.
//!
//! [`CompressLayer`] wraps any `tower` service and encodes its answers as the client's
//! `Accept-Encoding` asks.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use dunlin_compress::CompressLayer;
//! use dunlin_http::Body;
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let page = service_fn(|_: Request<Body>| async {
//!     let html = "<p>Hello, World!</p>".repeat(100);
//!     Ok::<_, Infallible>(Response::builder().header("content-type", "text/html").body(Body::from(html)).unwrap())
//! });
//! let service = CompressLayer::default().layer(page);
//!
//! let request = Request::get("/").header("accept-encoding", "gzip, br;q=0.9").body(Body::empty()).unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(response.headers()["content-encoding"], "gzip");
//! assert_eq!(response.headers()["vary"], "accept-encoding");
//! assert!(response.body().len().unwrap() < 200);
//! # }
//! ```
//!
//! [`DecompressLayer`] is for the other direction: it decodes the content of requests, within a
//! limit.

mod assess;
mod config;
mod content;
mod decompress;
mod encoder;
mod future;
mod handler;
mod head;
mod layer;
mod ready;
mod recode;
mod service;
mod store;
mod stream;
mod types;
mod workers;

pub use config::{Config, ConfigError, Levels};
pub use decompress::{Decompress, DecompressFuture, DecompressLayer, DecompressReplyFuture};
pub use future::{ReplyFuture, ResponseFuture};
pub use layer::{CompressLayer, Stats};
pub use service::Compress;
pub use types::{TypeError, Types};
