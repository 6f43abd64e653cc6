//! What the tests share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::{Body, PathParams};
use dunlin_pg::{Config, Database, Declared, Pool, Query, QueryService, Source};
use dunlin_testkit::Postgres;
use http::{Request, Response};
use tower::ServiceExt;

/// The server of tests that do not stop it; each uses tables of its own.
pub(crate) fn postgres() -> &'static Postgres {
    static POSTGRES: OnceLock<Postgres> = OnceLock::new();
    POSTGRES.get_or_init(Postgres::start)
}

/// A database on the shared server, told from others in `pg_stat_activity` by `name`.
pub(crate) fn config(name: &str) -> Config {
    config_of(postgres(), name)
}

pub(crate) fn config_of(postgres: &Postgres, name: &str) -> Config {
    Config { application_name: name.into(), pool_size: 4, shared: 2, ..Config::new(postgres.url()) }
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

/// A GET of `uri` whose router matched these parameters.
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
    let answer = tokio::time::timeout(Duration::from_secs(30), async {
        let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect(1 << 30).await.unwrap();
        Response::from_parts(parts, body)
    });
    answer.await.expect("an answer within 30 s")
}

pub(crate) fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

/// Waits until `done`, for what happens in the background; at most 10 s.
pub(crate) async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came: {what}");
}

/// How many connections `pg_stat_activity` has of that name.
pub(crate) fn connections(postgres: &Postgres, name: &str) -> usize {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'");
    postgres.psql(&sql).trim().parse().unwrap()
}

/// How many of them are at a statement now.
pub(crate) fn active(postgres: &Postgres, name: &str) -> usize {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND state = 'active'");
    postgres.psql(&sql).trim().parse().unwrap()
}
