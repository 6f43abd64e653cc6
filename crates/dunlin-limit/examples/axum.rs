//! A rate limit on one route of an axum service: `cargo run --example axum`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use dunlin_limit::{ClientInfo, Quota, RateLimitLayer};

/// Names the client for the rate limit.
async fn name_client(ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(ClientInfo::new(Some(peer.ip()), false));
    next.run(request).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let quota = Quota::new(5, Duration::from_secs(1), 5)?;
    let service = Router::new()
        .route("/login", get(async || "come in"))
        .layer(RateLimitLayer::new(quota))
        .layer(from_fn(name_client));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, service.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
