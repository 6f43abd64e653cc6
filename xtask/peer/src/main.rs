//! `peer ADDR DATABASE_URL`: actix-web with deadpool-postgres, one worker.

use actix_web::error::{ErrorInternalServerError as Internal, ErrorNotFound, ErrorServiceUnavailable as Unavailable};
use actix_web::web::{self, Data, Json, Path};
use actix_web::{App, HttpServer, Result};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use serde::Serialize;
use tokio_postgres::{NoTls, Row};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ONE: &str = "SELECT * FROM users WHERE id = $1";
const TWENTY: &str = "SELECT * FROM users WHERE id BETWEEN $1 AND $1 + 19";

#[derive(Serialize)]
struct User {
    id: i64,
    name: String,
    email: String,
    created_at: String,
}

impl User {
    fn of(row: &Row) -> Self {
        let at: chrono::DateTime<chrono::Utc> = row.get(3);
        Self { id: row.get(0), name: row.get(1), email: row.get(2), created_at: at.to_rfc3339() }
    }
}

/// Reads in a transaction, as is common in database code.
async fn one(pool: Data<Pool>, id: Path<i64>) -> Result<Json<User>> {
    let mut connection = pool.get().await.map_err(Unavailable)?;
    let transaction = connection.transaction().await.map_err(Internal)?;
    let statement = transaction.prepare_cached(ONE).await.map_err(Internal)?;
    let row = transaction.query_opt(&statement, &[&*id]).await.map_err(Internal)?;
    transaction.commit().await.map_err(Internal)?;
    row.map(|row| Json(User::of(&row))).ok_or_else(|| ErrorNotFound("no such user"))
}

async fn twenty(pool: Data<Pool>, id: Path<i64>) -> Result<Json<Vec<User>>> {
    let mut connection = pool.get().await.map_err(Unavailable)?;
    let transaction = connection.transaction().await.map_err(Internal)?;
    let statement = transaction.prepare_cached(TWENTY).await.map_err(Internal)?;
    let rows = transaction.query(&statement, &[&*id]).await.map_err(Internal)?;
    transaction.commit().await.map_err(Internal)?;
    Ok(Json(rows.iter().map(User::of).collect()))
}

/// Reads with the least overhead that the libraries allow.
async fn twenty_bare(pool: Data<Pool>, id: Path<i64>) -> Result<Json<Vec<User>>> {
    let connection = pool.get().await.map_err(Unavailable)?;
    let statement = connection.prepare_cached(TWENTY).await.map_err(Internal)?;
    let rows = connection.query(&statement, &[&*id]).await.map_err(Internal)?;
    Ok(Json(rows.iter().map(User::of).collect()))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, addr, url] = <[String; 3]>::try_from(std::env::args().collect::<Vec<_>>()).map_err(|_| "peer ADDR URL")?;
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(url.parse()?, NoTls, config);
    let pool = Data::new(Pool::builder(manager).max_size(16).build()?);
    let app = move || {
        App::new()
            .app_data(pool.clone())
            .route("/", web::get().to(|| async { "Hello, World!" }))
            .route("/one/{id}", web::get().to(one))
            .route("/twenty/{id}", web::get().to(twenty))
            .route("/bare/{id}", web::get().to(twenty_bare))
    };
    Ok(HttpServer::new(app).workers(1).bind(addr)?.run().await?)
}
