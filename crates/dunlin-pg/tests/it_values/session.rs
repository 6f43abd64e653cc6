//! A connection for one test to the only server of this binary.

use std::sync::OnceLock;

use dunlin_pg::json::{Column, write_row};
use dunlin_pg::param::Bound;
use dunlin_testkit::Postgres;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, NoTls, Row, Statement};

pub(crate) struct Session {
    runtime: Runtime,
    client: Client,
}

fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::start)
}

// === impl Session ===

impl Session {
    pub(crate) fn open() -> Session {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (client, connection) = runtime.block_on(tokio_postgres::connect(&server().url(), NoTls)).unwrap();
        runtime.spawn(connection);
        let session = Session { runtime, client };
        session.run("SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601'");
        session
    }

    pub(crate) fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub(crate) fn prepare(&self, sql: &str) -> Statement {
        self.runtime.block_on(self.client.prepare(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    pub(crate) fn query(&self, statement: &Statement, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        self.runtime.block_on(self.client.query(statement, params))
    }

    /// The only text of the result.
    pub(crate) fn text(&self, statement: &Statement, bound: &Bound) -> Result<Option<String>, Error> {
        Ok(self.query(statement, &[bound])?[0].get(0))
    }

    /// The type of this name.
    pub(crate) fn type_of(&self, name: &str) -> Type {
        self.prepare(&format!("SELECT $1::{name}")).params()[0].clone()
    }

    /// The rows of a query as this crate writes them.
    pub(crate) fn written(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<String> {
        let statement = self.prepare(sql);
        let columns = Column::all(statement.columns()).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let rows = self.query(&statement, params).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter()
            .map(|row| {
                let mut out = Vec::new();
                write_row(&mut out, &columns, row).unwrap_or_else(|error| panic!("{sql}: {error}"));
                String::from_utf8(out).unwrap()
            })
            .collect()
    }
}
