//! The cache in an axum app: `cargo run --example axum`, then open `http://127.0.0.1:3000/time`
//! twice.
//!
//! The layer wraps a whole router or one route, and needs no other crate of dunlin.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::routing::{get, post};
use dunlin_cache::{Cache, Config, RoutePolicy};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Cache::new(Config { memory: 64 << 20, ..Config::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/time", listener.local_addr()?);
    axum::serve(listener, app(&cache)).await?;
    Ok(())
}

/// Responses of `/time` are stored for a minute, or until a POST to `/reset`.
fn app(cache: &Cache) -> Router {
    let stored =
        RoutePolicy { age: Some(Duration::from_secs(60)), groups: vec!["time".into()], ..RoutePolicy::default() };
    let resets = RoutePolicy { invalidates: vec!["time".into()], ..RoutePolicy::default() };
    Router::new()
        .route("/time", get(time).layer(cache.layer(stored)))
        .route("/reset", post(async || "reset\n").layer(cache.layer(resets)))
}

async fn time() -> String {
    #[allow(clippy::disallowed_methods, reason = "the handler of an example may read the clock")]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{} seconds since 1970\n", since.as_secs())
}
