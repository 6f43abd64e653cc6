//! The helpers of the tests.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_http::{Body, PathParams};
use dunlin_pg::{Access, Config, Database, Declared, Pool, Query, QueryService, Rows, Source};
use dunlin_pg::{Event, Listener, Transaction, TransactionOptions};
use dunlin_testkit::{PATIENCE, Postgres};
use http::{Request, Response};
use tower::ServiceExt;

/// The server of tests that do not stop it. Each test has tables of its own.
pub(crate) fn postgres() -> &'static Postgres {
    static POSTGRES: OnceLock<Postgres> = OnceLock::new();
    POSTGRES.get_or_init(Postgres::start)
}

/// The configuration of a database on the shared server. `name` is its name in `pg_stat_activity`.
pub(crate) fn config(name: &str) -> Config {
    Config { connect_timeout: PATIENCE, ..config_of(postgres(), name) }
}

/// A configuration with long limits, because the machine is busy with tests.
pub(crate) fn config_of(postgres: &Postgres, name: &str) -> Config {
    let config = Config { acquire_timeout: PATIENCE, statement_timeout: PATIENCE, ..Config::new(postgres.url()) };
    Config { application_name: name.into(), pool_size: 4, shared: 2, ..config }
}

pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) pool: Pool,
}

impl Fixture {
    pub(crate) fn new(config: Config) -> Self {
        let database = Database::new(config).unwrap();
        let pool = database.pool();
        Self { database, pool }
    }

    pub(crate) fn declare(&self, query: Query) -> Arc<Declared> {
        self.database.declare(query).unwrap()
    }

    pub(crate) fn service(&self, query: Query) -> QueryService {
        QueryService::new(self.pool.clone(), self.declare(query))
    }
}

pub(crate) fn named(names: &[&str]) -> Vec<Source> {
    names.iter().map(|name| Source::named(name)).collect()
}

/// A GET of `uri` with these path parameters.
pub(crate) fn get(uri: &str, path: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get(uri).body(Body::empty()).unwrap();
    let mut params = PathParams::default();
    for (name, value) in path {
        params.push((*name).into(), (*value).into());
    }
    request.extensions_mut().insert(params);
    request
}

pub(crate) fn post(body: &str) -> Request<Body> {
    Request::post("/").header("content-type", "application/json").body(Body::from(body.to_owned())).unwrap()
}

pub(crate) async fn ask(service: &QueryService, request: Request<Body>) -> Response<Bytes> {
    let answer = tokio::time::timeout(2 * PATIENCE, async {
        let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect(1 << 30).await.unwrap();
        Response::from_parts(parts, body)
    });
    answer.await.expect("an answer")
}

pub(crate) fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

/// Waits for a condition that comes about in the background.
pub(crate) async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < PATIENCE, "it never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for the listener's next event.
pub(crate) async fn next(listener: &mut Listener) -> Event {
    tokio::time::timeout(PATIENCE, listener.next()).await.expect("an event")
}

/// A query that waits until [`hold`] releases the key.
pub(crate) fn waiting(key: u32, access: Access) -> Query {
    Query {
        rows: Rows::One,
        access,
        ..Query::new([format!("SELECT pg_advisory_xact_lock_shared({key})::text AS done")])
    }
}

/// Makes the queries of [`waiting`] wait, until the transaction is dropped.
pub(crate) async fn hold(postgres: &Postgres, key: i64) -> Transaction {
    let config = Config { idle_transaction_timeout: 10 * PATIENCE, ..config_of(postgres, "holds") };
    let mut transaction = Database::new(config).unwrap().pool().begin(TransactionOptions::default()).await.unwrap();
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[&key]).await.unwrap();
    transaction
}

/// The number of connections with this name in `pg_stat_activity`.
pub(crate) fn connections(postgres: &Postgres, name: &str) -> usize {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'");
    postgres.psql(&sql).trim().parse().unwrap()
}

/// The number of those that run a statement.
pub(crate) fn active(postgres: &Postgres, name: &str) -> usize {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND state = 'active'");
    postgres.psql(&sql).trim().parse().unwrap()
}
