//! A fast web service by hand: five tips, each a few lines of Rust on the crates, without a
//! configuration.
//!
//! `DATABASE_URL=postgres://… cargo run --release --example by_hand`, then open
//! <http://127.0.0.1:8080/>.

use std::error::Error;
use std::time::Duration;

use dunlin_cache::{Cache, RoutePolicy};
use dunlin_compress::{CompressLayer, Levels};
use dunlin_fetch::Client;
use dunlin_http::{Body, Problem};
use dunlin_pg::{Database, Query, QueryService, Rows, Source};
use dunlin_server::{Config, EventLoop, Routes, Server};
use dunlin_static::Files;
use http::{Request, Uri};
use tower_layer::Layer;
use tower_service::Service;

async fn hello(_: Request<Body>) -> &'static str {
    "Hello, World!"
}

/// The first hundred characters of another page; the loop does other work while it waits.
async fn front(client: Client, page: Uri) -> Result<String, Problem> {
    let text = client.get_text(&page, Some(100)).await.map_err(|error| error.problem())?;
    Ok(text.text)
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let var = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());

    // 1. The event loop: one for each core, with a socket and services of its own.
    let mut config = Config { event_loop: EventLoop::PerCore, ..Config::default() };
    config.listen = vec![var("LISTEN", "127.0.0.1:8080").parse()?];

    // 2. Asynchronous handlers: `hello` and `front` above. Each loop fetches with a client of its
    // own.
    let page: Uri = var("PAGE", "https://www.example.com/").parse()?;

    // 3. Keep-alive: on by default; here it is written out.
    config.keep_alive = Duration::from_secs(75);

    // 4. Compression and caching: gzip at level 6, answers kept for an hour, static files.
    let level = Levels { gzip: 6, ..Levels::default() };
    let compress = CompressLayer::new(dunlin_compress::Config { level, ..Default::default() })?;
    let cache = Cache::new(dunlin_cache::Config::default());
    let hour = RoutePolicy { age: Some(Duration::from_secs(3600)), ..RoutePolicy::default() };
    let files = Files::new(var("STATIC", "apps/dunlin/demo/public"), dunlin_static::Config::default())?;

    // 5. The database: declared once, prepared when a connection opens, a pool for each loop.
    let database = Database::new(dunlin_pg::Config::new(var("DATABASE_URL", "postgres:///app")))?;
    let user = database.declare(Query {
        params: vec![Source::named("user_id")],
        rows: Rows::One,
        ..Query::new(["SELECT * FROM users WHERE id = $1"])
    })?;

    let running = Server::bind(config)?.start(move |_loop| {
        let (client, page) = (Client::new(dunlin_fetch::Config::default()), page.clone());
        let user = QueryService::new(database.pool(), user.clone());
        let routes = Routes::new().get("/", hello).mount("/static", files.clone());
        let layers = (compress.clone(), cache.layer(hour.clone()));
        async move {
            let client = client?;
            let routes = routes.get("/front", move |_| front(client.clone(), page.clone()));
            let routes = routes.get("/users/{user_id}", move |request| user.clone().call(request)).build()?;
            Ok(layers.0.layer(layers.1.layer(routes)))
        }
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::signal::ctrl_c().await?;
        running.shutdown();
        running.stopped().await;
        Ok(())
    })
}
