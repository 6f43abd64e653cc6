//! A reverse proxy in front of an origin, beside an application's own routes.
//!
//! ```sh
//! cargo run -p dunlin-fetch --example proxy -- http://127.0.0.1:9000 127.0.0.1:8080
//! ```

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use dunlin_fetch::{Client, ClientInfo, Config, Proxy, ProxyConfig};
use http::Uri;

type Error = Box<dyn std::error::Error>;

/// Names the client for the proxy, which forwards its address in `X-Forwarded-For`.
async fn add_client(ConnectInfo(address): ConnectInfo<SocketAddr>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(ClientInfo::new(Some(address.ip()), false));
    next.run(request).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let upstream: Uri = args.next().ok_or("usage: proxy UPSTREAM [ADDRESS]")?.parse()?;
    let listen = args.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    let client = Client::new(Config::default())?;
    let proxy = Proxy::new(client, &upstream, ProxyConfig::default())?;
    let app = Router::new()
        .route("/here", get(|| async { "a route of the application\n" }))
        .fallback_service(proxy)
        .layer(from_fn(add_client));

    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("http://{} forwards to {upstream}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
