//! An axum application that serves a folder beside its own pages.
//!
//! `cargo run -p dunlin-static --example axum -- FOLDER`, then open the address that it prints.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use dunlin_static::{Config, Files};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let config = Config { cache: Some(Duration::from_secs(3600)), listing: true, ..Config::default() };
    let files = Files::new(folder, config)?;
    let app = Router::new().route("/hello", get(|| async { "Hello, World!" })).nest_service("/static", files);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/static/", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
