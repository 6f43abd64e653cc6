//! A pooled outbound HTTP client and a reverse proxy service.
//!
//! - [`Client`] keeps connections to origins, HTTP or HTTPS, and sends requests on them. [`Client::get_text`] gives the
//!   first characters of a page without reading the rest of it.
//! - [`Proxy`] passes requests on to an upstream and streams the answers back. It is transparent to all that is not the
//!   business of one connection alone (RFC 9110 §7.6.1).
//! - [`FetchService`] answers every request with the text of one URL.
//!
//! `Proxy` and `FetchService` are tower services that always answer: an upstream that is not there
//! is a 502, one that is too slow a 504, each with a problem document.
//!
//! No task stands behind a connection: the future that waits for an answer drives it, and then the
//! body that is read. So what is dropped takes its connection along, an upstream sends no faster
//! than its answer is read, and nobody pays for switches between tasks. A connection belongs to the
//! runtime that opened it: make a client for each.
//!
//! ```
//! use dunlin_fetch::{Client, Config, Proxy, ProxyConfig};
//! use dunlin_http::Body;
//! use http::{Request, Uri};
//! use tower_service::Service as _;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An origin that has one page.
//! let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let address = origin.local_addr()?;
//! tokio::spawn(async move {
//!     let page = axum::routing::get(|| async { "Größe" });
//!     axum::serve(origin, axum::Router::new().route("/page", page)).await
//! });
//!
//! let client = Client::new(Config::default())?;
//! let page: Uri = format!("http://{address}/page").parse()?;
//! assert_eq!(client.get_text(&page, Some(3)).await?.text, "Grö");
//!
//! let upstream: Uri = format!("http://{address}").parse()?;
//! let mut proxy = Proxy::new(client.clone(), &upstream, ProxyConfig::default())?;
//! let response = proxy.call(Request::get("/page").body(Body::empty())?).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.into_body().collect(100).await?, "Größe");
//!
//! // All of that went over one connection.
//! assert_eq!(client.stats().opened, 1);
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
mod error;
mod proxy;
mod text;

pub use client::{Client, ClientStats};
pub use config::Config;
pub use dunlin_http::{ClientInfo, Network, NetworkError};
pub use error::FetchError;
pub use proxy::{Proxy, ProxyConfig};
pub use text::{FetchService, Text};
