//! An axum `Router`, served by dunlin: a loop for each core, every deadline and limit on.
//!
//! `cargo run -p dunlin-server --example axum`, then `curl -i http://127.0.0.1:8080/greet/you`;
//! Ctrl-C drains.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use dunlin_server::{Config, Server};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind(Config::default())?;
    // Called once on each loop, so that pools in the router belong to that loop alone.
    let running = server.start(|_loop| async {
        Ok(Router::new()
            .route("/", get(async || "Hello, World!"))
            .route("/greet/{name}", get(async |Path(name): Path<String>| format!("Hello, {name}!"))))
    })?;
    for addr in running.local_addrs() {
        println!("http://{addr}");
    }
    tokio::signal::ctrl_c().await?;
    running.shutdown();
    println!("{:?}", running.stopped().await);
    Ok(())
}
