//! PostgreSQL for web services: pipelined reads, clean transactions, rows straight to JSON, LISTEN
//! that reports its gaps.
//!
//! - A [`Database`] is one budget of connections for the process. Each event loop has a [`Pool`] of its own under it, so
//!   that no wake-up crosses threads.
//! - A [`Query`] is declared once: SQL, where its parameters come from, one row or many. Each connection prepares it when it
//!   opens. A read of one statement then takes one round trip on a connection that many share; a write, a transaction
//!   and what is large or slow has a connection of its own.
//! - [`QueryService`] answers HTTP requests with it, as any tower service (`examples/axum.rs` has it in an axum app), and
//!   [`Pool::run`] answers whoever has no request.
//! - [`json`] writes rows straight into a body's bytes, [`param`] types what a request gave by the statement's own
//!   description.
//! - [`Listener`] hears `NOTIFY` on a connection of its own and tells its gaps; [`triggers`] writes the SQL that notifies.
//!
//! Every wait has an end: for a connection, for its turn, for a statement. What a request gave up
//! is cancelled on the server. Connections that are lost, plans that a migration made stale, and
//! transactions that lost against others are tried again where that is safe.
//!
//! ```
//! use dunlin_http::{Body, PathParams};
//! use dunlin_pg::{Config, Database, Query, QueryService, Rows, Source};
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # let postgres = dunlin_testkit::Postgres::start();
//! # postgres.psql("CREATE TABLE users (id bigint PRIMARY KEY, name text); INSERT INTO users VALUES (7, 'Ada')");
//! # let url = postgres.url();
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let database = Database::new(Config::new(url))?;
//! let user = database.declare(Query {
//!     name: "/users/{id}".into(),
//!     params: vec![Source::named("id")],
//!     rows: Rows::One,
//!     ..Query::new(["SELECT id, name FROM users WHERE id = $1"])
//! })?;
//! let service = QueryService::new(database.pool(), user);
//!
//! let get = |id: &str| {
//!     let mut request = Request::new(Body::empty());
//!     let mut params = PathParams::default();
//!     params.push("id".into(), id.into());
//!     request.extensions_mut().insert(params);
//!     request
//! };
//! let response = service.clone().oneshot(get("7")).await?;
//! assert_eq!(response.body().as_bytes(), Some(&br#"{"id":7,"name":"Ada"}"#[..]));
//! assert_eq!(service.clone().oneshot(get("8")).await?.status(), 404);
//! assert_eq!(service.clone().oneshot(get("seven")).await?.status(), 400);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cancel;
mod config;
mod connect;
mod database;
mod describe;
mod error;
mod functions;
mod hosts;
pub mod json;
mod listen;
pub mod param;
mod pool;
mod query;
mod service;
mod settings;
mod sql;
mod stats;
mod target;
mod tls;
pub mod triggers;

pub use config::{Config, ConfigError, Pooler, Secret};
pub use database::{Database, Declared};
pub use describe::Description;
pub use error::{Error, ErrorKind};
pub use listen::{Event, Listener};
pub use pool::{Answer, Pool, Transaction, TransactionOptions};
pub use query::{Access, Formats, Isolation, Place, Query, QueryError, Rows, Source};
pub use service::{Answering, QueryService};
pub use settings::{Role, Setting};
pub use stats::{ErrorCounts, Stats};
pub use tls::SslMode;
/// The client library, whose types are in some signatures: `Row`, `types::ToSql`, `error::DbError`.
pub use tokio_postgres;
pub use tokio_postgres::Row;
