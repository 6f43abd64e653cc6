//! End-to-end tests: the real binary, over real sockets, against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod admin;
mod admission;
mod auth;
mod cache;
mod cache_identity;
mod chaos;
mod cli;
mod compress;
mod config_errors;
mod config_size;
mod crate_graph;
mod demo;
mod doctor;
mod events;
mod failover;
mod fetch;
mod files;
mod files_change;
mod finish;
mod forwarded;
mod grpc;
mod headers;
mod hosts;
mod include;
mod interim;
mod limits;
mod live;
mod log;
mod log_file;
mod metrics;
mod never_stale;
mod openapi;
mod package;
mod prose;
mod proxy;
mod query;
mod query_claims;
mod query_extensions;
mod query_http;
mod query_params;
mod redirect;
mod reload;
mod reload_keeps;
mod reload_load;
mod restart;
mod service;
mod service_manager;
mod shared_cache;
mod shutdown;
mod site;
mod text;
mod tls;
mod todo;
mod upstream;

use std::sync::OnceLock;

use dunlin_testkit::Postgres;

/// The database of the tests that do not stop it. Each test has tables of its own.
fn database() -> &'static Postgres {
    static DATABASE: OnceLock<Postgres> = OnceLock::new();
    DATABASE.get_or_init(Postgres::start)
}
