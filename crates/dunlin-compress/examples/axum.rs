//! An axum service with compressed responses, which accepts compressed uploads.
//!
//! `cargo run -p dunlin-compress --example axum`, then
//! `curl -v --compressed http://127.0.0.1:3000/` and
//! `curl -N --compressed http://127.0.0.1:3000/ticks`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use dunlin_compress::{CompressLayer, Config, DecompressLayer, Types};
use http_body::Frame;
use tokio::net::TcpListener;
use tokio::time::{Interval, interval};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let types = Types::default().with("application/x-mine")?;
    let compress = CompressLayer::new(Config { types, ..Config::default() })?;

    let app = Router::new()
        .route("/", get(|| async { Html("<p>Hello, World!</p>".repeat(1000)) }))
        .route("/ticks", get(ticks))
        .layer(compress)
        // Routes after the layer are not compressed.
        .route("/plain", get(|| async { "Hello, World!".repeat(1000) }))
        .route("/length", post(length).layer(DecompressLayer::new(1 << 20)));

    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn length(content: Bytes) -> String {
    format!("{} bytes\n", content.len())
}

/// Sends an event each second. The client can decode each of them at once.
async fn ticks() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/event-stream")], Body::new(Ticks(interval(Duration::from_secs(1)))))
}

struct Ticks(Interval);

impl http_body::Body for Ticks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.0.poll_tick(cx));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data: tick\n\n")))))
    }
}
