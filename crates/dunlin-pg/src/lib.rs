#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("dunlin-pg works on Unix only: it connects to PostgreSQL on Unix sockets");

mod cancel;
mod config;
mod config_error;
mod connect;
mod database;
mod declared;
mod describe;
mod error;
mod functions;
mod hosts;
pub mod json;
mod listen;
mod named_file;
mod open_connections;
pub mod param;
mod pool;
mod query;
mod service;
mod shares;
mod sql;
mod ssl_mode;
mod stats;
mod target;
mod tls;
pub mod triggers;

pub use config::{Config, Pooler, Secret};
pub use config_error::ConfigError;
pub use database::Database;
pub use declared::Declared;
pub use describe::Description;
pub use error::{Error, ErrorKind};
pub use listen::{Event, Listener};
pub use pool::{Answer, FromRow, Pool, Transaction, TransactionOptions};
pub use query::{
    Access, Formats, Isolation, Location, MediaTypeSource, Page, Place, Query, QueryError, Raw, Role, Rows, Setting,
    Source,
};
pub use service::{AnswerFuture, BoundQuery, MEDIA_TYPES, QueryService};
pub use ssl_mode::SslMode;
pub use stats::{ErrorCounts, Stats};
/// The client library. Some signatures have its types, for example `Row` and `types::ToSql`.
pub use tokio_postgres;
pub use tokio_postgres::Row;
