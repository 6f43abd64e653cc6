//! A query in an axum app. Start it with `DATABASE_URL=postgres://… cargo run --example axum`, and
//! open `http://127.0.0.1:3000/cities/1` and `http://127.0.0.1:3000/cities?name=Oslo`.
//!
//! A middleware passes on the path parameters that axum's router matched.

use axum::Router;
use axum::extract::{RawPathParams, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use dunlin_http::PathParams;
use dunlin_pg::{Config, Database, Pool, Query, QueryService, Rows, Source};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::new(Config::new(std::env::var("DATABASE_URL")?))?;
    let app = app(&database, database.pool())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/cities/1", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

fn app(database: &Database, pool: Pool) -> Result<Router, Box<dyn std::error::Error>> {
    let cities = "SELECT * FROM (VALUES (1, 'Oslo'), (2, 'Lima')) AS cities (id, name)";
    let one = database.declare(Query {
        params: vec![Source::named("id")],
        rows: Rows::One,
        ..Query::new([format!("{cities} WHERE id = $1")])
    })?;
    let named = database.declare(Query {
        params: vec![Source::named("name")],
        ..Query::new([format!("{cities} WHERE name = ANY($1)")])
    })?;
    Ok(Router::new()
        .route_service("/cities/{id}", QueryService::new(pool.clone(), one))
        .route_service("/cities", QueryService::new(pool, named))
        .route_layer(from_fn(path_params)))
}

async fn path_params(found: RawPathParams, mut request: Request, next: Next) -> Response {
    let mut params = PathParams::default();
    for (name, value) in &found {
        params.push(name.into(), value.into());
    }
    request.extensions_mut().insert(params);
    next.run(request).await
}
